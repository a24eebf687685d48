#include "sim/cost/rccl_choice.h"

#include <limits>

namespace echelon {

namespace {

constexpr Bytes without_end{std::numeric_limits<double>::infinity()};
constexpr Bytes most_of_trees{256.0 * 1024 * 1024 - 1};
constexpr double more_nodes_ll128 = 3.8;  // of an all-reduce on more than two nodes

// Bytes of the vector in an all-reduce, of a rank's part in a gather or scatter.
struct ProtocolEnds {
  Bytes ll;
  Bytes ll128;
};
constexpr ProtocolEnds all_reduce_ends{Bytes(1'048'576), Bytes(9'437'184)};
constexpr ProtocolEnds all_gather_ends{Bytes(98'304), Bytes(5'046'272)};
constexpr ProtocolEnds reduce_scatter_ends{Bytes(131'072), Bytes(3'211'264)};

}  // namespace

bool rccl_has_ranges(CollectiveKind kind) {
  return kind == CollectiveKind::all_reduce || kind == CollectiveKind::all_gather ||
         kind == CollectiveKind::reduce_scatter;
}

std::vector<RcclRange> rccl_ranges(CollectiveKind kind, double ranks, double nodes) {
  using enum CollectiveAlgorithm;
  using enum CollectiveProtocol;
  if (kind == CollectiveKind::all_reduce)
    return {{all_reduce_ends.ll, tree, ll},
            {all_reduce_ends.ll128 * (nodes > 2 ? more_nodes_ll128 : 1), tree, ll128},
            {most_of_trees, tree, simple},
            {without_end, ring, simple}};
  const ProtocolEnds& ends = kind == CollectiveKind::all_gather ? all_gather_ends : reduce_scatter_ends;
  return {{ends.ll * ranks, ring, ll}, {ends.ll128 * ranks, ring, ll128}, {without_end, ring, simple}};
}

}  // namespace echelon
