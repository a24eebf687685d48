// Where the ranks of a job sit: rank -> GPU of the cluster.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/base/enum_names.h"
#include "sim/base/error.h"
#include "sim/hardware/topology.h"

namespace echelon {

enum class PlacementKind {
  packed,      // in the cluster's order, node after node
  scattered,   // round the nodes: each rank on another node than the one before, while there are others
  listed,      // as given
  fragmented,  // whole nodes that other jobs have left, drawn by a seed and then in the cluster's order
};

template <>
inline constexpr auto enum_names<PlacementKind> = std::to_array<EnumName<PlacementKind>>({
    {PlacementKind::packed, "packed"},
    {PlacementKind::scattered, "scattered"},
    {PlacementKind::listed, "listed"},
    {PlacementKind::fragmented, "fragmented"},
});

struct RankPlacement {
  PlacementKind kind = PlacementKind::packed;
  std::vector<std::int32_t> list;     // listed: positions in Topology::gpus by rank
  std::uint64_t seed = 1;             // fragmented
  SourceLocation where{"placement"};  // for messages
};

// The GPU vertex of each of `ranks` ranks, all distinct. Throws InputError at placement.where if the cluster has too
// few GPUs or the list is too short, names a GPU that is not there, or one twice.
std::vector<VertexId> place_ranks(const Topology& topology, const RankPlacement& placement, std::int64_t ranks);

}  // namespace echelon
