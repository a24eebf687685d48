#include "sim/app/bound.h"

#include <algorithm>
#include <vector>

#include "sim/app/automatic.h"
#include "sim/app/machines.h"
#include "sim/app/memory_result.h"
#include "sim/app/probe.h"
#include "sim/app/simulate.h"
#include "sim/app/tails.h"
#include "strategies/lower.h"

namespace echelon {

namespace {

// Durations are rounded to picoseconds one by one.
constexpr double rounding = 1 - 1e-6;

std::int64_t micro_batches(const Scenario& scenario) {
  return scenario.workload.global_batch / scenario.strategy.mesh.data / scenario.strategy.micro_batch;
}

// Enough to fill the pipeline; interleaved schedules have a special order for as many as ranks.
std::int64_t replayed_micro_batches(const Strategy& strategy) {
  const std::int64_t ranks = strategy.mesh.pipeline;
  return std::max<std::int64_t>(2, strategy.virtual_stages > 1 ? 2 * ranks : ranks);
}

// The least time that the rank needs, with `scale` times the micro-batches that were replayed.
Seconds rank_bound(const Replayed& replayed, const Tails& tails, std::size_t rank, double scale) {
  const auto& tasks = replayed.lowering.graph.programs[rank].tasks;
  std::optional<std::size_t> first;
  std::size_t last = 0;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (tasks[i].stream != Stream::compute || !is_pass(tasks[i].kind)) continue;
    if (!first) first = i;
    last = i;
  }
  if (!first) return Seconds(0);
  Time passes;
  Time hosts;
  Time others;
  for (std::size_t i = *first; i <= last; ++i) {
    if (tasks[i].stream != Stream::compute) continue;
    const WorkTime& time = replayed.prices.times[static_cast<std::size_t>(tasks[i].work)];
    (is_pass(tasks[i].kind) ? passes : others) += time.device;
    if (is_pass(tasks[i].kind)) hosts += time.host;
  }
  const Time lead = replayed.timeline.tasks[rank][*first].start;
  const Seconds device = (lead + others + tails.of(rank, last)).seconds() + passes.seconds() * scale;
  return std::max(device, hosts.seconds() * scale);
}

}  // namespace

bool has_bound(const Scenario& scenario) {
  const Strategy& strategy = scenario.strategy;
  const bool alike = strategy.schedule == ScheduleKind::gpipe || strategy.schedule == ScheduleKind::one_f_one_b ||
                     strategy.schedule == ScheduleKind::interleaved || strategy.schedule == ScheduleKind::looped_bfs;
  return alike && scenario.network == NetworkModel::analytic && strategy.schedule_group == 0 &&
         strategy.vocabulary_parallel == VocabularyParallel::none && !leaves_open(strategy);
}

std::variant<Result, Infeasible> bound(const Scenario& scenario) {
  if (auto refusal = check_strategy(scenario.model, scenario.workload, scenario.strategy, placement_of(scenario)))
    return *refusal;
  const std::int64_t all = micro_batches(scenario);
  const std::int64_t few = std::min(all, replayed_micro_batches(scenario.strategy));
  Scenario reduced = scenario;
  reduced.whole_batch = scenario.workload.global_batch;
  reduced.strategy.local_steps.part = RoundPart::nothing;
  reduced.workload.global_batch = few * scenario.strategy.mesh.data * scenario.strategy.micro_batch;
  const auto outcome = replay_iteration(reduced, SteadyState::whole);
  if (const auto* refusal = std::get_if<Infeasible>(&outcome)) return *refusal;
  const Replayed& replayed = std::get<Replayed>(outcome);
  const Tails tails(replayed, TailCount::all);
  Result result;
  const double scale = static_cast<double>(all) / static_cast<double>(few);
  for (std::size_t rank = 0; rank < replayed.lowering.graph.programs.size(); ++rank)
    result.iteration = std::max(result.iteration, rank_bound(replayed, tails, rank, scale) * rounding);
  result.samples = static_cast<double>(scenario.workload.global_batch);
  result.tokens = result.samples * static_cast<double>(scenario.workload.sequence_length);
  result.gpus = scenario.gpus;
  result.memory = memory_result(reduced, replayed);
  add_money_and_energy(scenario, result);
  return result;
}

}  // namespace echelon
