#include "sim/config/strategy_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <string>

#include "sim/config/strategy_keys.h"
#include "strategies/pipeline/schedule.h"
#include "strategies/placement/rank_layers.h"

namespace echelon {

namespace {

// Chunks where the scenario gives none: the fewest with which the schedule has a place for all that is listed.
std::int64_t chunks_of(const Strategy& strategy) {
  const ScheduleRow& row = schedule_row(strategy.schedule);
  std::int64_t chunks = row.least_chunks;
  if (strategy.rank_layers.empty() || row.layout == StageLayout::bidirectional || row.most_chunks != 0) return chunks;
  chunks = std::max(chunks, fewest_chunks(strategy, row.layout));
  while (chunk_refusal(strategy.schedule, chunks)) ++chunks;
  return chunks;
}

// "12 or 24": the divisors of `number` next to `near`, for a message. `number` is at most most_ranks.
std::string nearest_divisors(std::int64_t number, std::int64_t near) {
  std::int64_t below = 1;
  std::int64_t above = number;
  for (std::int64_t divisor = 1; divisor * divisor <= number; ++divisor) {
    if (number % divisor != 0) continue;
    for (const std::int64_t candidate : {divisor, number / divisor}) {
      if (candidate <= near) below = std::max(below, candidate);
      if (candidate >= near) above = std::min(above, candidate);
    }
  }
  return near > number ? std::to_string(number) : fmt::format("{} or {}", below, above);
}

// DeepSpeed's overlap_comm, which stands for both, is on for stage 3 and off below unless it is given (its config-json
// documentation).
void apply_sharding_defaults(const Value& value, Strategy& strategy) {
  if (strategy.framework != FrameworkKind::deepspeed || strategy.sharding != Sharding::zero3) return;
  if (!value.find("overlap_gradient_reduce")) strategy.overlap_gradient_reduce = true;
  if (!value.find("overlap_parameter_gather")) strategy.overlap_parameter_gather = true;
}

}  // namespace

const StrategyKeys& strategy_keys() {
  static const StrategyKeys keys = [] {
    StrategyKeys all = {enum_key<FrameworkKind, Strategy>(
        "framework", &Strategy::framework, "training framework, whose defaults hold for the keys that are absent")};
    for (const auto& rows : {mesh_keys(), pipeline_keys(), state_keys(), execution_keys()})
      all.insert(all.end(), rows.begin(), rows.end());
    return all;
  }();
  return keys;
}

Strategy strategy_from_yaml(const Value& value) {
  const auto framework = value.find("framework");
  Strategy strategy = framework_defaults(framework ? framework->one_of<FrameworkKind>() : FrameworkKind::megatron);
  strategy.mesh.data = 0;
  read_keys(value, strategy_keys(), strategy);
  apply_sharding_defaults(value, strategy);
  const bool loops =
      strategy.virtual_stages > 1 || (!strategy.rank_layers.empty() && fewest_chunks(strategy, StageLayout::loop) > 1);
  if (loops && !value.find("schedule")) strategy.schedule = ScheduleKind::interleaved;
  if (!value.find("virtual_stages")) strategy.virtual_stages = chunks_of(strategy);
  const Mesh& mesh = strategy.mesh;
  if (!mesh.stage_tensor.empty() && std::ssize(mesh.stage_tensor) != mesh.pipeline)
    value.at("tensor_parallel")
        .fail(fmt::format("tensor_parallel lists {} pipeline ranks, not pipeline_parallel {}", mesh.stage_tensor.size(),
                          mesh.pipeline),
              fmt::format("pipeline_parallel {} would do", mesh.stage_tensor.size()));
  const double ranks = static_cast<double>(std::max<std::int64_t>(mesh.data, 1)) * static_cast<double>(mesh.tensor) *
                       static_cast<double>(mesh.pipeline) * static_cast<double>(mesh.context);
  if (ranks > static_cast<double>(most_ranks))
    value.fail(fmt::format("the mesh has {:.3g} ranks", ranks), fmt::format("expected at most {}", most_ranks));
  return strategy;
}

void resolve_data_parallel(const Value& value, std::int64_t gpus, Strategy& strategy) {
  Mesh& mesh = strategy.mesh;
  Mesh one = mesh;
  one.data = 1;
  const std::int64_t replica = one.ranks();
  const Value place = value.find("data_parallel").value_or(value);
  const std::string product =
      mesh.stage_tensor.empty()
          ? fmt::format("tensor_parallel {} x pipeline_parallel {} x context_parallel {}", mesh.tensor, mesh.pipeline,
                        mesh.context)
          : fmt::format("tensor_parallel [{}] x context_parallel {}", fmt::join(mesh.stage_tensor, ", "), mesh.context);
  if (gpus % replica != 0) {
    const std::int64_t multiple = gpus / replica * replica;
    const std::string counts =
        multiple > 0 ? fmt::format("{} or {}", multiple, multiple + replica) : std::to_string(replica);
    place.fail(fmt::format("{} = {} does not divide the {} GPUs", product, replica, gpus),
               fmt::format("expected {} GPUs, or a product of {}", counts, nearest_divisors(gpus, replica)));
  }
  if (mesh.data == 0) mesh.data = gpus / replica;
  if (mesh.data * replica != gpus)
    place.fail(
        fmt::format("data_parallel {} x {} makes {} ranks for {} GPUs", mesh.data, product, mesh.data * replica, gpus),
        fmt::format("expected data_parallel: {}, or auto", gpus / replica));
}

}  // namespace echelon
