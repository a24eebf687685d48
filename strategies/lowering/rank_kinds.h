// Which ranks are alike: pipeline stages of one tensor degree on the same machines of a cluster share the local blocks,
// the layouts of their groups and all prices.
//
// Ranks fill the groups of a mixed cluster in order, and every group is whole nodes. A communicator whose members lie
// in several of them bridges the link between the groups; a stage whose ranks do goes at the pace of its slower
// machines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "strategies/lower.h"

namespace echelon {

// The group of the cluster that holds the rank; 0 where all machines are alike.
std::int32_t machine_of(const Placement& placement, std::int64_t rank);

// Whether any of these groups of ranks has members on several machines.
bool joins_groups(const std::vector<std::vector<std::int64_t>>& groups, const Placement& placement);

// Whether messages or sums between two pipeline ranks pass from machine to machine.
bool stages_bridge(const Mesh& mesh, const Placement& placement, std::size_t one, std::size_t other);

// Fills Lowering::kinds and kind_of. Stages that lie on several machines each are a kind of their own.
void describe_kinds(const Mesh& mesh, const Placement& placement, Lowering& into);

// The strategy with the mesh as a stage sees it.
Strategy strategy_of_stage(const Strategy& strategy, std::int64_t pipeline_rank);

}  // namespace echelon
