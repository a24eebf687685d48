#include "strategies/lowering/rank_kinds.h"

#include <algorithm>
#include <set>

#include "strategies/mesh.h"

namespace echelon {

namespace {

RankKind kind_of_stage(const Mesh& mesh, const Placement& placement, std::int64_t program) {
  const Mesh own = stage_mesh(mesh, program);
  RankKind kind;
  kind.tensor = own.tensor;
  kind.program = program;
  kind.machines = {0};
  for (const auto& axis : enum_names<Axis>)
    kind.groups[static_cast<std::size_t>(axis.value)] = axis_layout(own, axis.value, placement.gpus_per_node);
  if (placement.groups.size() < 2) return kind;
  std::set<std::int32_t> machines;
  for (const std::int64_t rank : stage_ranks(mesh, program)) machines.insert(machine_of(placement, rank));
  kind.machines.assign(machines.begin(), machines.end());
  if (machines.size() == 1) return kind;
  for (const Axis axis : {Axis::tensor, Axis::context, Axis::expert, Axis::data})
    kind.groups[static_cast<std::size_t>(axis)].bridges = joins_groups(axis_groups(mesh, axis, program), placement);
  return kind;
}

bool alike(const RankKind& one, const RankKind& other) {
  return one.tensor == other.tensor && one.groups == other.groups && one.machines == other.machines &&
         one.machines.size() == 1;
}

}  // namespace

std::int32_t machine_of(const Placement& placement, std::int64_t rank) {
  std::int32_t machine = 0;
  for (std::int64_t end = 0; static_cast<std::size_t>(machine) + 1 < placement.groups.size(); ++machine) {
    end += placement.groups[static_cast<std::size_t>(machine)];
    if (rank < end) break;
  }
  return machine;
}

bool joins_groups(const std::vector<std::vector<std::int64_t>>& groups, const Placement& placement) {
  if (placement.groups.size() < 2) return false;
  return std::any_of(groups.begin(), groups.end(), [&](const std::vector<std::int64_t>& ranks) {
    const auto [least, most] = std::minmax_element(ranks.begin(), ranks.end());
    return machine_of(placement, *least) != machine_of(placement, *most);
  });
}

// Stages of unlike degrees have no ranks of the same place: all of both count.
bool stages_bridge(const Mesh& mesh, const Placement& placement, std::size_t one, std::size_t other) {
  if (placement.groups.size() < 2) return false;
  const auto ours = static_cast<std::int64_t>(one);
  const auto theirs = static_cast<std::int64_t>(other);
  if (mesh.stage_tensor.empty()) return joins_groups(stage_pairs(mesh, ours, theirs), placement);
  const auto [earlier, later] = std::minmax(ours, theirs);
  return joins_groups({{stage_ranks(mesh, earlier).front(), stage_ranks(mesh, later).back()}}, placement);
}

void describe_kinds(const Mesh& mesh, const Placement& placement, Lowering& into) {
  const bool all_alike = mesh.stage_tensor.empty() && placement.groups.size() < 2;
  for (std::int64_t program = 0; program < mesh.pipeline; ++program) {
    if (all_alike && program > 0) {
      into.kind_of.push_back(0);
      continue;
    }
    RankKind kind = kind_of_stage(mesh, placement, program);
    const auto known =
        std::find_if(into.kinds.begin(), into.kinds.end(), [&](const RankKind& other) { return alike(kind, other); });
    into.kind_of.push_back(static_cast<std::int32_t>(known - into.kinds.begin()));
    if (known == into.kinds.end()) into.kinds.push_back(std::move(kind));
  }
}

Strategy strategy_of_stage(const Strategy& strategy, std::int64_t pipeline_rank) {
  Strategy local = strategy;
  local.mesh = stage_mesh(strategy.mesh, pipeline_rank);
  return local;
}

}  // namespace echelon
