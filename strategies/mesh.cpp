#include "strategies/mesh.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

namespace echelon {

namespace {

std::int64_t degree(const Mesh& mesh, Axis axis) {
  switch (axis) {
    case Axis::tensor:
      return mesh.tensor;
    case Axis::context:
      return mesh.context;
    case Axis::data:
      return mesh.data;
    case Axis::pipeline:
      return mesh.pipeline;
    case Axis::expert:
      return 1;
  }
  return 1;
}

// Members on the nodes of the group that begins at a rank.
struct NodeShares {
  std::int64_t most = 0;
  std::int64_t least = 0;
};

NodeShares shares_of(std::int64_t first, std::int64_t ranks, std::int64_t stride, std::int64_t gpus_per_node) {
  NodeShares shares{0, ranks};
  for (std::int64_t left = ranks, nodes = 0; left > 0; ++nodes) {
    const std::int64_t here = std::min(left, (gpus_per_node - first % gpus_per_node + stride - 1) / stride);
    shares.most = std::max(shares.most, here);
    shares.least = std::min(shares.least, here);
    left -= here;
    first += here * stride;
    // The nodes inside repeat themselves; of the rest the last one may be another.
    if (nodes == gpus_per_node && left > gpus_per_node) left = (left - 1) % gpus_per_node + 1;
  }
  return shares;
}

// Ranks at a first one, stride, 2*stride, ... from it, packed on nodes: of `all` ranks' groups the one whose least
// share of a node is smallest, which holds the others up.
GroupLayout strided(std::int64_t ranks, std::int64_t stride, std::int64_t gpus_per_node, std::int64_t all) {
  stride = std::max<std::int64_t>(1, stride);
  const std::int64_t on_node = std::max<std::int64_t>(1, gpus_per_node / stride);
  GroupLayout layout{ranks, std::min(ranks, on_node)};
  const std::int64_t span = ranks * stride;
  const bool even = (gpus_per_node % stride == 0 && (gpus_per_node % span == 0 || span % gpus_per_node == 0)) ||
                    stride % gpus_per_node == 0;
  if (even) return layout;
  std::int64_t least = ranks + 1;
  for (std::int64_t group = 0; group < std::clamp<std::int64_t>(all / span, 1, gpus_per_node); ++group)
    for (std::int64_t offset = 0; offset < std::min(stride, gpus_per_node); ++offset) {
      const NodeShares shares = shares_of(group * span + offset, ranks, stride, gpus_per_node);
      if (shares.least > least || (shares.least == least && shares.most >= layout.ranks_per_node)) continue;
      least = shares.least;
      layout.ranks_per_node = shares.most;
    }
  if (least < layout.ranks_per_node) layout.least_per_node = least;
  return layout;
}

// Ranks of a pipeline rank, and those before it, where stages have degrees of their own: pipeline is then outermost.
std::int64_t width_of(const Mesh& mesh, std::int64_t pipeline_rank) {
  return mesh.data * mesh.context * mesh.stage_tensor[static_cast<std::size_t>(pipeline_rank)];
}

std::int64_t first_rank(const Mesh& mesh, std::int64_t pipeline_rank) {
  std::int64_t first = 0;
  for (std::int64_t before = 0; before < pipeline_rank; ++before) first += width_of(mesh, before);
  return first;
}

// One pipeline rank alone, and its groups moved to where its ranks are.
Mesh alone(const Mesh& mesh, std::int64_t pipeline_rank) {
  Mesh stage = stage_mesh(mesh, pipeline_rank);
  stage.pipeline = 1;
  return stage;
}

std::vector<std::vector<std::int64_t>> moved(std::vector<std::vector<std::int64_t>> groups, std::int64_t by) {
  for (auto& group : groups)
    for (std::int64_t& rank : group) rank += by;
  return groups;
}

// Ranks with equal keys together, groups by key.
template <class KeyOf>
std::vector<std::vector<std::int64_t>> grouped(const std::vector<std::int64_t>& ranks, const KeyOf& key_of) {
  std::map<std::int64_t, std::vector<std::int64_t>> by_key;
  for (const std::int64_t rank : ranks) by_key[key_of(rank)].push_back(rank);
  std::vector<std::vector<std::int64_t>> groups;
  for (auto& [key, members] : by_key) groups.push_back(std::move(members));
  return groups;
}

// Each group in pieces of `width` neighbours.
std::vector<std::vector<std::int64_t>> cut(const std::vector<std::vector<std::int64_t>>& groups, std::int64_t width) {
  std::vector<std::vector<std::int64_t>> pieces;
  for (const auto& group : groups)
    for (std::size_t i = 0; i < group.size(); ++i) {
      if (i % static_cast<std::size_t>(width) == 0) pieces.emplace_back();
      pieces.back().push_back(group[i]);
    }
  return pieces;
}

// The ranks of the same place in each piece of `width` neighbours of a group.
std::vector<std::vector<std::int64_t>> across(const std::vector<std::vector<std::int64_t>>& groups,
                                              std::int64_t width) {
  std::vector<std::vector<std::int64_t>> result;
  for (const auto& whole : groups)
    for (std::int64_t place = 0; place < width; ++place) {
      result.emplace_back();
      for (auto i = static_cast<std::size_t>(place); i < whole.size(); i += static_cast<std::size_t>(width))
        result.back().push_back(whole[i]);
    }
  return result;
}

}  // namespace

std::int64_t axis_stride(const Mesh& mesh, Axis axis) {
  std::int64_t stride = 1;
  for (Axis inner : mesh.order) {
    if (inner == axis) break;
    stride *= degree(mesh, inner);
  }
  return stride;
}

GroupLayout axis_layout(const Mesh& mesh, Axis axis, std::int64_t gpus_per_node) {
  if (axis == Axis::expert) {
    // Expert groups take the first ranks of the data * context group, or of the stage where experts are divided over
    // fewer ranks than the other layers: those of the expert's own tensor parallelism then stand next to each other
    // (Megatron-Core's parallel_state.py, the rank generator of experts).
    const bool as_others = expert_tensor_degree(mesh) == mesh.tensor;
    const std::int64_t stride = std::min(axis_stride(mesh, Axis::data), axis_stride(mesh, Axis::context));
    return strided(mesh.expert, as_others ? stride : axis_stride(mesh, Axis::tensor) * expert_tensor_degree(mesh),
                   gpus_per_node, mesh.ranks());
  }
  return strided(degree(mesh, axis), axis_stride(mesh, axis), gpus_per_node, mesh.ranks());
}

GroupLayout data_with_context_layout(const Mesh& mesh, std::int64_t gpus_per_node) {
  const std::int64_t ranks = mesh.data / mesh.local_groups * mesh.context;
  const std::int64_t data_stride = axis_stride(mesh, Axis::data), context_stride = axis_stride(mesh, Axis::context);
  if (data_stride == context_stride * mesh.context) return strided(ranks, context_stride, gpus_per_node, mesh.ranks());
  const GroupLayout data = axis_layout(mesh, Axis::data, gpus_per_node);
  const GroupLayout context = axis_layout(mesh, Axis::context, gpus_per_node);
  const std::int64_t on_node = std::min(gpus_per_node, data.ranks_per_node * context.ranks_per_node);
  return {ranks, std::max<std::int64_t>(1, std::min(ranks, on_node))};
}

GroupLayout outer_layout(const Mesh& mesh, std::int64_t gpus_per_node) {
  const std::int64_t stride = axis_stride(mesh, Axis::data) * (mesh.data / mesh.local_groups);
  GroupLayout layout = strided(mesh.local_groups, stride, gpus_per_node, mesh.ranks());
  layout.members = Communicator::outer;
  return layout;
}

std::int64_t expert_tensor_degree(const Mesh& mesh) {
  if (mesh.expert_tensor > 0) return mesh.expert_tensor;
  return mesh.expert > 1 ? 1 : mesh.tensor;
}

GroupLayout expert_data_layout(const Mesh& mesh, std::int64_t gpus_per_node) {
  const std::int64_t stage_ranks = mesh.tensor * mesh.context * (mesh.data / mesh.local_groups);
  const std::int64_t inside = expert_tensor_degree(mesh) * mesh.expert;
  return strided(std::max<std::int64_t>(1, stage_ranks / inside), inside, gpus_per_node, mesh.ranks());
}

Mesh stage_mesh(const Mesh& mesh, std::int64_t pipeline_rank) {
  if (mesh.stage_tensor.empty()) return mesh;
  Mesh stage = mesh;
  stage.tensor = mesh.stage_tensor[static_cast<std::size_t>(pipeline_rank)];
  stage.stage_tensor.clear();
  return stage;
}

std::vector<std::int64_t> stage_ranks(const Mesh& mesh, std::int64_t pipeline_rank) {
  if (!mesh.stage_tensor.empty()) {
    std::vector<std::int64_t> ranks(static_cast<std::size_t>(width_of(mesh, pipeline_rank)));
    std::iota(ranks.begin(), ranks.end(), first_rank(mesh, pipeline_rank));
    return ranks;
  }
  const std::int64_t stride = axis_stride(mesh, Axis::pipeline);
  std::vector<std::int64_t> ranks;
  for (std::int64_t rank = 0; rank < mesh.ranks(); ++rank)
    if (rank / stride % mesh.pipeline == pipeline_rank) ranks.push_back(rank);
  return ranks;
}

std::vector<std::vector<std::int64_t>> axis_groups(const Mesh& mesh, Axis axis, std::int64_t pipeline_rank) {
  if (!mesh.stage_tensor.empty())
    return moved(axis_groups(alone(mesh, pipeline_rank), axis, 0), first_rank(mesh, pipeline_rank));
  const std::vector<std::int64_t> ranks = stage_ranks(mesh, pipeline_rank);
  if (axis == Axis::expert) {
    const std::int64_t apart = expert_tensor_degree(mesh);
    if (apart != mesh.tensor) return cut(across({ranks}, apart), mesh.expert);
    const GroupLayout whole{mesh.data * mesh.context, 1, Communicator::data};
    return cut(communicator_groups(mesh, whole, pipeline_rank), mesh.expert);
  }
  const std::int64_t stride = axis_stride(mesh, axis);
  return grouped(ranks, [&](std::int64_t rank) { return rank - rank / stride % degree(mesh, axis) * stride; });
}

std::vector<std::vector<std::int64_t>> communicator_groups(const Mesh& mesh, const GroupLayout& layout,
                                                           std::int64_t pipeline_rank) {
  if (!mesh.stage_tensor.empty())
    return moved(communicator_groups(alone(mesh, pipeline_rank), layout, 0), first_rank(mesh, pipeline_rank));
  const std::vector<std::int64_t> ranks = stage_ranks(mesh, pipeline_rank);
  const std::int64_t tensor_stride = axis_stride(mesh, Axis::tensor);
  const auto all_replicas = [&] {
    return grouped(ranks, [&](std::int64_t rank) { return rank / tensor_stride % mesh.tensor; });
  };
  const std::int64_t local_ranks = mesh.data / mesh.local_groups * mesh.context;
  const auto replicas = [&] { return cut(all_replicas(), local_ranks); };
  switch (layout.members) {
    case Communicator::data:
      return replicas();
    case Communicator::shard:
      return cut(replicas(), layout.ranks);
    case Communicator::replica:
      return across(replicas(), std::max<std::int64_t>(1, local_ranks / layout.ranks));
    case Communicator::outer:
      return across(all_replicas(), local_ranks);
    case Communicator::expert_data: {
      const std::int64_t inside = std::max<std::int64_t>(1, std::ssize(ranks) / (layout.ranks * mesh.local_groups));
      const auto place = [&](std::int64_t rank) {
        return (std::lower_bound(ranks.begin(), ranks.end(), rank) - ranks.begin()) % inside;
      };
      return cut(grouped(ranks, place), layout.ranks);
    }
    case Communicator::stages: {
      const std::int64_t stride = axis_stride(mesh, Axis::pipeline);
      std::vector<std::vector<std::int64_t>> groups;
      for (const std::int64_t rank : stage_ranks(mesh, 0)) {
        groups.emplace_back();
        for (std::int64_t stage = 0; stage < mesh.pipeline; ++stage) groups.back().push_back(rank + stage * stride);
      }
      return groups;
    }
    case Communicator::tied_ends:
      break;
  }
  return stage_pairs(mesh, 0, mesh.pipeline - 1);
}

std::vector<std::vector<std::int64_t>> stage_pairs(const Mesh& mesh, std::int64_t one, std::int64_t other) {
  const std::int64_t ours = stage_mesh(mesh, one).tensor;
  const std::int64_t theirs = stage_mesh(mesh, other).tensor;
  const std::int64_t more = std::max(ours, theirs);
  std::vector<std::vector<std::int64_t>> pairs;
  for (const std::int64_t rank : stage_ranks(mesh, ours >= theirs ? one : other)) {
    Coordinates at = coordinates_of(mesh, rank);
    const std::int64_t place = at.tensor;
    const auto in_stage = [&](std::int64_t stage, std::int64_t degree) {
      at.pipeline = stage;
      at.tensor = place * degree / more;
      return rank_at(mesh, at);
    };
    const std::int64_t first = in_stage(one, ours);
    pairs.push_back({first, in_stage(other, theirs)});
  }
  return pairs;
}

Coordinates coordinates_of(const Mesh& mesh, std::int64_t rank) {
  if (!mesh.stage_tensor.empty()) {
    std::int64_t stage = 0;
    for (; rank >= width_of(mesh, stage); ++stage) rank -= width_of(mesh, stage);
    Coordinates at = coordinates_of(alone(mesh, stage), rank);
    at.pipeline = stage;
    return at;
  }
  const auto along = [&](Axis axis) { return rank / axis_stride(mesh, axis) % degree(mesh, axis); };
  return {along(Axis::data), along(Axis::tensor), along(Axis::pipeline), along(Axis::context)};
}

std::int64_t rank_at(const Mesh& mesh, const Coordinates& coordinates) {
  if (!mesh.stage_tensor.empty()) {
    Coordinates inside = coordinates;
    inside.pipeline = 0;
    return first_rank(mesh, coordinates.pipeline) + rank_at(alone(mesh, coordinates.pipeline), inside);
  }
  return coordinates.data * axis_stride(mesh, Axis::data) + coordinates.tensor * axis_stride(mesh, Axis::tensor) +
         coordinates.pipeline * axis_stride(mesh, Axis::pipeline) +
         coordinates.context * axis_stride(mesh, Axis::context);
}

std::int64_t data_ranks_sharing_experts(const Mesh& mesh) {
  const std::int64_t replica = mesh.tensor * mesh.context;
  return std::lcm(expert_tensor_degree(mesh) * mesh.expert, replica) / replica;
}

bool pipeline_ranks_share_node(const Mesh& mesh, std::int64_t one, std::int64_t other, std::int64_t gpus_per_node) {
  if (!mesh.stage_tensor.empty()) {
    const auto [earlier, later] = std::minmax(one, other);
    return first_rank(mesh, earlier) / gpus_per_node ==
           (first_rank(mesh, later) + width_of(mesh, later) - 1) / gpus_per_node;
  }
  const std::int64_t stride = axis_stride(mesh, Axis::pipeline);
  return (one * stride) / gpus_per_node == (other * stride) / gpus_per_node;
}

}  // namespace echelon
