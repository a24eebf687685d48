#include "sim/app/quick_bound.h"

#include "sim/app/automatic.h"
#include "sim/app/machines.h"
#include "sim/app/offload_check.h"
#include "sim/app/probe_memory.h"
#include "sim/app/probe_time.h"
#include "strategies/lower.h"

namespace echelon {

namespace {

// Durations are rounded to picoseconds one by one.
constexpr double rounding = 1 - 1e-6;

// No order, no times to plan it by.
Strategy timed(const Strategy& strategy) {
  Strategy result = strategy;
  result.planned_times.emplace();
  return result;
}

}  // namespace

bool has_quick_bound(const Strategy& strategy) {
  if (!backward_of(strategy.schedule) || strategy.vocabulary_parallel != VocabularyParallel::none ||
      strategy.sequence_slices > 1 || !strategy.slice_lengths.empty() || !strategy.rank_layers.empty() ||
      strategy.given_schedule)
    return false;
  Strategy decided = timed(strategy);
  decided.balances_stages = decided.thresholds_stages = false;
  return !leaves_open(decided);
}

std::variant<Result, Infeasible> quick_bound(const Scenario& scenario) {
  if (leaves_open(timed(scenario.strategy))) {
    Scenario open = scenario;
    open.strategy = timed(scenario.strategy);
    const auto decided = decide(open);
    if (const auto* refusal = std::get_if<Infeasible>(&decided)) return *refusal;
    return quick_bound(std::get<Decided>(decided).scenario);
  }
  if (auto refusal = check_host(scenario)) return *refusal;
  if (auto refusal = check_strategy(scenario.model, scenario.workload, scenario.strategy, placement_of(scenario)))
    return *refusal;
  const ProbeShape shape = probe_shape(scenario);
  auto outcome = replay_probe(scenario, shape);
  if (const auto* refusal = std::get_if<Infeasible>(&outcome)) return *refusal;
  Replayed& replayed = std::get<Replayed>(outcome);
  Result result;
  result.iteration = scenario.network == NetworkModel::flow ? least_computing(replayed, shape) * rounding
                                                            : least_time(replayed, shape) * rounding;
  result.samples = static_cast<double>(scenario.workload.global_batch);
  result.tokens = result.samples * static_cast<double>(scenario.workload.sequence_length);
  result.gpus = scenario.gpus;
  result.memory = least_memory(scenario, shape, replayed);
  add_money_and_energy(scenario, result);
  return result;
}

}  // namespace echelon
