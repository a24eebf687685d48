#include "strategies/local_check.h"

#include <string>

#include "strategies/mesh.h"

namespace echelon {

namespace {

// One group meets nobody.
Refusal check_alone(const Strategy& strategy) {
  const LocalSteps& steps = strategy.local_steps;
  const std::string groups_too = strategy.mesh.data > 1 ? fmt::format(" or local_groups {}", strategy.mesh.data) : "";
  struct Key {
    const char* name;
    std::int64_t value;
    std::int64_t idle;
  };
  for (const Key& key : {Key{"synchronize_every", steps.every, 1}, Key{"synchronize_fragments", steps.fragments, 1},
                         Key{"synchronize_delay", steps.delay, 0}})
    if (key.value != key.idle)
      return refuse("{} {} with one group, which meets nobody; {} {}{} would do", key.name, key.value, key.name,
                    key.idle, groups_too);
  if (strategy.offload.outer != OffloadTarget::none)
    return refuse("offload.outer {} with one group, which has no outer optimizer; offload.outer none would do",
                  name_of(strategy.offload.outer));
  return std::nullopt;
}

Refusal check_fragments(const LocalSteps& steps, std::int64_t layers) {
  if (steps.fragments > layers)
    return refuse("synchronize_fragments {} of {} layers; synchronize_fragments {} would do", steps.fragments, layers,
                  layers);
  if (steps.fragments > steps.every)
    return refuse("synchronize_fragments {} in synchronize_every {} steps; synchronize_fragments {} would do",
                  steps.fragments, steps.every, steps.every);
  if (steps.delay >= steps.every)
    return refuse(
        "synchronize_delay {} with synchronize_every {}, which sends a fragment again before it is back; "
        "synchronize_delay {} would do",
        steps.delay, steps.every, steps.every - 1);
  return std::nullopt;
}

}  // namespace

Refusal check_local_steps(const Model& model, const Strategy& strategy) {
  const Mesh& mesh = strategy.mesh;
  const std::int64_t groups = mesh.local_groups;
  if (mesh.data % groups != 0)
    return refuse("local_groups {} does not divide data_parallel {}; local_groups {} would do", groups, mesh.data,
                  divisor_below(mesh.data, groups));
  if (groups == 1) return check_alone(strategy);
  if (strategy.optimizer_post_validation)
    return refuse(
        "optimizer_post_validation with local_groups {}, whose iterations end together; optimizer_post_validation "
        "false would do",
        groups);
  if (auto refusal = check_fragments(strategy.local_steps, std::ssize(model.layers))) return refusal;
  if (!mesh.stage_tensor.empty())
    return refuse(
        "local_groups {} with tensor_parallel by pipeline rank; local_groups 1 and synchronize_every 1 would do",
        groups);
  // A group is so many neighbours of the data axis with all of their context ranks.
  if (mesh.context > 1 && axis_stride(mesh, Axis::context) > axis_stride(mesh, Axis::data))
    return refuse("local_groups {} with cp outside dp in mesh_order; mesh_order [tp, cp, ep, dp, pp] would do", groups);
  // PipeDream's pipeline never empties, so that no step closes a round.
  if (!strategy.given_schedule &&
      (strategy.schedule == ScheduleKind::pipedream || strategy.schedule == ScheduleKind::pipedream_2bw))
    return refuse("local_groups {} with schedule {}, whose steps overlap; schedule 1f1b would do", groups,
                  name_of(strategy.schedule));
  if (strategy.offload.outer != OffloadTarget::none && strategy.local_steps.optimizer == OuterOptimizer::average)
    return refuse("offload.outer {} with outer_optimizer average, which keeps nothing; offload.outer none would do",
                  name_of(strategy.offload.outer));
  // The round's update reads parameters of the device.
  if (strategy.offload.parameters != OffloadTarget::none)
    return refuse("local_groups {} with parameters off the device; offload.parameters none would do", groups);
  if (strategy.offload.optimizer != OffloadTarget::none)
    return refuse("local_groups {} with an optimizer step off the device; offload.optimizer none would do", groups);
  return std::nullopt;
}

}  // namespace echelon
