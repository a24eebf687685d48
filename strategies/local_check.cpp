#include "strategies/local_check.h"

#include "strategies/mesh.h"

namespace echelon {

Refusal check_local_steps(const Strategy& strategy) {
  const Mesh& mesh = strategy.mesh;
  const std::int64_t groups = mesh.local_groups;
  if (mesh.data % groups != 0)
    return refuse("local_groups {} does not divide data_parallel {}; local_groups {} would do", groups, mesh.data,
                  divisor_below(mesh.data, groups));
  if (groups == 1) {
    if (strategy.local_steps.every == 1) return std::nullopt;
    return refuse(
        "synchronize_every {} with one group, which meets nobody; synchronize_every 1 or local_groups {} would do",
        strategy.local_steps.every, mesh.data);
  }
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
  // The round's update reads parameters of the device.
  if (strategy.offload.parameters != OffloadTarget::none)
    return refuse("local_groups {} with parameters off the device; offload.parameters none would do", groups);
  if (strategy.offload.optimizer != OffloadTarget::none)
    return refuse("local_groups {} with an optimizer step off the device; offload.optimizer none would do", groups);
  return std::nullopt;
}

}  // namespace echelon
