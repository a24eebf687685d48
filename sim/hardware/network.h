// Links of a cluster as NCCL sees them, and the constants of its cost model.
#pragma once

#include <cstdint>

#include "sim/base/enum_names.h"
#include "sim/base/units.h"

namespace echelon {

enum class CollectiveKind { all_reduce, all_gather, reduce_scatter, broadcast, reduce, all_to_all, send_receive };

template <>
inline constexpr auto enum_names<CollectiveKind> = std::to_array<EnumName<CollectiveKind>>({
    {CollectiveKind::all_reduce, "all_reduce"}, {CollectiveKind::all_gather, "all_gather"},
    {CollectiveKind::reduce_scatter, "reduce_scatter"}, {CollectiveKind::broadcast, "broadcast"},
    {CollectiveKind::reduce, "reduce"}, {CollectiveKind::all_to_all, "all_to_all"},
    {CollectiveKind::send_receive, "send_receive"},
});

enum class CollectiveAlgorithm { ring, tree, nvls, nvls_tree, direct };
enum class CollectiveProtocol { ll, ll128, simple };

// How a communicator lies on the nodes. Groups of one kind run at once on all ranks of a node, so the adapters are shared
// by gpus_per_node / ranks_per_node groups.
struct GroupShape {
  std::int64_t ranks = 1;
  std::int64_t ranks_per_node = 1;
};

struct Network {
  std::int64_t gpus_per_node = 8;
};

}  // namespace echelon
