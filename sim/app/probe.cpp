#include "sim/app/probe.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "sim/app/machines.h"
#include "strategies/intra/intra.h"
#include "strategies/lower.h"

namespace echelon {

namespace {

constexpr std::int64_t most_probed = 3;  // first, between, last

WeightVersions versions_of(ScheduleKind kind) {
  if (kind == ScheduleKind::pipedream) return WeightVersions::in_flight;
  return kind == ScheduleKind::pipedream_2bw ? WeightVersions::two : WeightVersions::one;
}

// Whether every micro-batch has such a task.
bool recurs(TaskKind kind) {
  return is_pass(kind) || kind == TaskKind::send_activation || kind == TaskKind::send_gradient;
}

// Whether what micro-batches between the first and the last do is more than passes and messages, or tells more of them.
bool differs_between(const Strategy& strategy) {
  return strategy.mesh.pipeline == 1 || strategy.sharding == Sharding::zero2 || strategy.synchronous_pipeline ||
         strategy.batch_fetch != BatchFetch::ahead || waits_for_token_counts(strategy);
}

// One micro-batch after the other through all chunks and back.
Schedule probe_schedule(const Strategy& strategy, const ProbeShape& shape) {
  Schedule schedule;
  schedule.layout = shape.layout;
  schedule.versions = shape.versions;
  schedule.shape.ranks = strategy.mesh.pipeline;
  schedule.shape.micro_batches = shape.probed * shape.copies;
  schedule.shape.chunks = strategy.virtual_stages;
  const auto chunks = static_cast<std::int32_t>(strategy.virtual_stages);
  RankOrder order;
  const auto go_through = [&](std::int32_t micro_batch, std::int32_t first, std::int32_t last) {
    for (std::int32_t chunk = first; chunk < last; ++chunk) order.push_back({Pass::forward, chunk, micro_batch});
    for (std::int32_t chunk = last; chunk-- > first;) {
      const bool split = shape.backward == Backward::split;
      order.push_back({split ? Pass::input_gradient : Pass::backward, chunk, micro_batch});
      if (split) order.push_back({Pass::weight_gradient, chunk, micro_batch});
    }
  };
  for (std::int32_t j = 0; j < static_cast<std::int32_t>(schedule.shape.micro_batches); ++j) {
    const auto copy = static_cast<std::int32_t>(j % shape.copies);
    shape.copies > 1 ? go_through(j, copy, copy + 1) : go_through(j, 0, chunks);
  }
  schedule.ranks.assign(static_cast<std::size_t>(strategy.mesh.pipeline), order);
  return schedule;
}

}  // namespace

std::optional<Backward> backward_of(ScheduleKind kind) {
  switch (kind) {
    case ScheduleKind::gpipe:
    case ScheduleKind::one_f_one_b:
    case ScheduleKind::pipedream:
    case ScheduleKind::pipedream_2bw:
    case ScheduleKind::interleaved:
    case ScheduleKind::looped_bfs:
    case ScheduleKind::chimera:
    case ScheduleKind::hanayo:
    case ScheduleKind::seq1f1b:
    case ScheduleKind::terapipe:
    case ScheduleKind::bpipe:
      return Backward::whole;
    case ScheduleKind::zb_h1:
    case ScheduleKind::zb_h2:
    case ScheduleKind::zb_1p:
    case ScheduleKind::zb_2p:
    case ScheduleKind::interleaved_zb:
    case ScheduleKind::zb_v:
    case ScheduleKind::v_half:
    case ScheduleKind::v_min:
      return Backward::split;
    case ScheduleKind::dualpipe:
    case ScheduleKind::dualpipe_v:
      return Backward::mixed;
    default:
      return std::nullopt;
  }
}

bool is_pass(TaskKind kind) {
  return kind == TaskKind::forward || kind == TaskKind::backward || kind == TaskKind::input_gradient ||
         kind == TaskKind::weight_gradient;
}

std::int64_t ProbeShape::weight(const Task& task) const {
  if (probed == 1) return recurs(task.kind) ? micro_batches : 1;
  return task.micro_batch / copies == 1 && probed == most_probed ? micro_batches - 2 : 1;
}

ProbeShape probe_shape(const Scenario& scenario) {
  const Strategy& strategy = scenario.strategy;
  ProbeShape shape;
  shape.layout = layout_of(strategy);
  shape.backward = *backward_of(strategy.schedule);
  shape.versions = versions_of(strategy.schedule);
  shape.validates_afterwards = strategy.optimizer_post_validation;
  shape.may_share_gathers = shape.backward != Backward::whole && strategy.mesh.pipeline == 1;
  if (shape.layout == StageLayout::bidirectional) shape.copies = strategy.virtual_stages;
  shape.micro_batches = scenario.workload.global_batch / strategy.mesh.data / strategy.micro_batch / shape.copies;
  shape.probed = std::min(shape.micro_batches, differs_between(strategy) ? most_probed : 1);
  return shape;
}

std::variant<Replayed, Infeasible> replay_probe(const Scenario& scenario, const ProbeShape& shape) {
  Strategy strategy = scenario.strategy;
  strategy.given_schedule = std::make_shared<const Schedule>(probe_schedule(strategy, shape));
  strategy.local_steps.part = RoundPart::nothing;
  Workload workload = scenario.workload;
  workload.global_batch = shape.probed * shape.copies * strategy.mesh.data * strategy.micro_batch;
  auto lowered = lower(scenario.model, workload, strategy, placement_of(scenario));
  if (auto* refusal = std::get_if<Infeasible>(&lowered)) return *refusal;
  Replayed replayed{std::move(std::get<Lowering>(lowered)), {}, {}, {}, {}, nullptr};
  replayed.options = replay_options(scenario, replayed.lowering);
  replayed.prices = Pricers(scenario, replayed.lowering).price_all();
  replayed.timeline = timeline_of(replayed.lowering, replayed.prices.times, replayed.options);
  return replayed;
}

}  // namespace echelon
