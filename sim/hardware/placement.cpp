#include "sim/hardware/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

namespace echelon {

namespace {

// GPUs by node, in the cluster's order.
std::vector<std::vector<VertexId>> by_node(const Topology& topology) {
  std::vector<std::vector<VertexId>> nodes;
  std::int32_t last = -2;
  for (const VertexId gpu : topology.gpus) {
    const std::int32_t node = topology.vertex(gpu).node;
    if (node != last || node == shared_by_nodes) nodes.emplace_back();
    last = node;
    nodes.back().push_back(gpu);
  }
  return nodes;
}

std::vector<VertexId> scattered(const Topology& topology) {
  const auto nodes = by_node(topology);
  std::vector<VertexId> order;
  for (std::size_t place = 0; order.size() < topology.gpus.size(); ++place)
    for (const auto& node : nodes)
      if (place < node.size()) order.push_back(node[place]);
  return order;
}

std::vector<VertexId> fragmented(const Topology& topology, std::int64_t ranks, std::uint64_t seed) {
  const auto nodes = by_node(topology);
  std::vector<std::size_t> drawn(nodes.size());
  for (std::size_t i = 0; i < drawn.size(); ++i) drawn[i] = i;
  // Fisher and Yates; std::shuffle's draws differ between libraries, the generator's numbers do not.
  std::mt19937_64 random(seed);
  for (std::size_t i = drawn.size(); i > 1; --i) std::swap(drawn[i - 1], drawn[random() % i]);
  std::size_t taken = 0;
  for (std::int64_t gpus = 0; gpus < ranks; ++taken) gpus += static_cast<std::int64_t>(nodes[drawn[taken]].size());
  drawn.resize(taken);
  std::sort(drawn.begin(), drawn.end());
  std::vector<VertexId> order;
  for (const std::size_t node : drawn) order.insert(order.end(), nodes[node].begin(), nodes[node].end());
  return order;
}

std::vector<VertexId> listed(const Topology& topology, const RankPlacement& placement) {
  std::vector<VertexId> order;
  std::vector<bool> taken(topology.gpus.size(), false);
  for (const std::int32_t gpu : placement.list) {
    const auto index = static_cast<std::size_t>(gpu);
    if (gpu < 0 || index >= topology.gpus.size())
      throw InputError(placement.where, fmt::format("no GPU {}", gpu),
                       fmt::format("expected 0 to {}", topology.gpus.size() - 1));
    if (taken[index]) throw InputError(placement.where, fmt::format("GPU {} twice", gpu), "expected each GPU once");
    taken[index] = true;
    order.push_back(topology.gpus[index]);
  }
  return order;
}

}  // namespace

std::vector<VertexId> place_ranks(const Topology& topology, const RankPlacement& placement, std::int64_t ranks) {
  const auto fits = [&](std::size_t there, const char* what) {
    if (ranks > static_cast<std::int64_t>(there))
      throw InputError(placement.where, fmt::format("{} ranks on {} {}", ranks, there, what),
                       "expected a GPU for each rank");
  };
  fits(topology.gpus.size(), "GPUs");
  std::vector<VertexId> order = topology.gpus;
  if (placement.kind == PlacementKind::scattered) order = scattered(topology);
  if (placement.kind == PlacementKind::fragmented) order = fragmented(topology, ranks, placement.seed);
  if (placement.kind == PlacementKind::listed) {
    order = listed(topology, placement);
    fits(order.size(), "GPUs of the list");
  }
  order.resize(static_cast<std::size_t>(ranks));
  return order;
}

}  // namespace echelon
