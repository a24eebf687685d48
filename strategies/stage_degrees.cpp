#include "strategies/stage_degrees.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "strategies/lowering/rank_kinds.h"
#include "strategies/mesh.h"
#include "strategies/pipeline/schedule.h"

namespace echelon {

namespace {

using Refusal = std::optional<std::string>;

// Neighbouring stages cut activations into parts of parts.
Refusal check_neighbours(const std::vector<std::int64_t>& degrees) {
  for (std::size_t stage = 0; stage + 1 < degrees.size(); ++stage) {
    const auto [fewer, more] = std::minmax(degrees[stage], degrees[stage + 1]);
    if (more % fewer != 0)
      return fmt::format(
          "tensor_parallel {} of pipeline rank {} beside {}, of which neither divides the other; {} for both would do",
          degrees[stage], stage, degrees[stage + 1], fewer);
  }
  return std::nullopt;
}

// A tensor group of a node's GPUs or fewer lies on one node.
Refusal check_nodes(const Mesh& mesh, const Placement& placement) {
  for (std::int64_t stage = 0; stage < mesh.pipeline; ++stage) {
    const std::int64_t width = std::min(placement.gpus_per_node, mesh.stage_tensor[static_cast<std::size_t>(stage)]);
    const std::int64_t first = stage_ranks(mesh, stage).front();
    if (first % width == 0) continue;
    std::vector<std::int64_t> falling = mesh.stage_tensor;
    std::sort(falling.begin(), falling.end(), std::greater<>());
    return fmt::format(
        "tensor groups of {} on pipeline rank {} begin at GPU {} of a node of {} and would lie across nodes; "
        "tensor_parallel [{}] would do",
        mesh.stage_tensor[static_cast<std::size_t>(stage)], stage, first % placement.gpus_per_node,
        placement.gpus_per_node, fmt::join(falling, ", "));
  }
  return std::nullopt;
}

Refusal check_degrees(const Strategy& strategy, const Placement& placement) {
  const Mesh& mesh = strategy.mesh;
  const auto stages = std::ssize(mesh.stage_tensor);
  if (stages != mesh.pipeline)
    return fmt::format(
        "tensor_parallel lists {} pipeline ranks, not pipeline_parallel {}; pipeline_parallel {} would do", stages,
        mesh.pipeline, stages);
  if (mesh.order.back() != Axis::pipeline)
    return "tensor_parallel by pipeline rank needs each stage's ranks together; mesh_order [tp, cp, ep, dp, pp] would "
           "do";
  if (auto refusal = check_neighbours(mesh.stage_tensor)) return refusal;
  return check_nodes(mesh, placement);
}

// Copies of a stage on several ranks are one communicator of alike ranks.
Refusal check_copies(const Strategy& strategy, const Placement& placement) {
  if (layout_of(strategy) != StageLayout::bidirectional) return std::nullopt;
  Lowering described;
  describe_kinds(strategy.mesh, placement, described);
  const RankKind& first = described.kinds.front();
  const bool alike = std::all_of(described.kinds.begin(), described.kinds.end(), [&](const RankKind& kind) {
    return kind.tensor == first.tensor && kind.machines == first.machines;
  });
  if (alike) return std::nullopt;
  return fmt::format(
      "schedule {} holds copies of a stage on ranks that are not alike, whose gradients it adds up; schedule 1f1b and "
      "virtual_stages 1 would do",
      name_of(strategy.schedule));
}

}  // namespace

std::optional<std::string> unlike_stages_refusal(const Strategy& strategy, const Placement& placement) {
  const Mesh& mesh = strategy.mesh;
  if (!mesh.stage_tensor.empty())
    if (auto refusal = check_degrees(strategy, placement)) return refusal;
  if (mesh.stage_tensor.empty() && placement.groups.size() < 2) return std::nullopt;
  if (mesh.ranks() != placement.gpus) return std::nullopt;  // which check_strategy() refuses in its own words
  return check_copies(strategy, placement);
}

}  // namespace echelon
