#include "sim/cost/group_facts.h"

#include <algorithm>
#include <cmath>

#include "sim/hardware/fabric_bus.h"

namespace echelon {

namespace {

// What the last domain is left with, or the node that has fewest.
std::int64_t least_in_domain(const Network& network, const GroupShape& group, std::int64_t in_domain) {
  if (network.scale_up_gpus() <= network.gpus_per_node)
    return group.least_per_node > 0 ? std::min(group.least_per_node, in_domain) : in_domain;
  const std::int64_t left = group.ranks % in_domain;
  return left > 0 ? left : in_domain;
}

}  // namespace

std::int64_t ranks_in_domain(const Network& network, const GroupShape& group) {
  const std::int64_t domain = network.scale_up_gpus();
  if (domain <= network.gpus_per_node) return std::min(group.ranks, group.ranks_per_node);
  const std::int64_t stride =
      std::max<std::int64_t>(1, network.gpus_per_node / std::max<std::int64_t>(1, group.ranks_per_node));
  const std::int64_t extent = group.ranks * stride;
  const std::int64_t all = extent <= domain ? extent : network.segment_gpus(extent);
  return std::min(group.ranks, std::max(group.ranks_per_node, all / stride));
}

GroupFacts facts_of(const Network& network, const GroupShape& group) {
  GroupFacts facts;
  facts.ranks = static_cast<double>(group.ranks);
  const std::int64_t in_domain = ranks_in_domain(network, group);
  facts.per_node = static_cast<double>(in_domain);
  facts.least_per_node = static_cast<double>(least_in_domain(network, group, in_domain));
  facts.nodes = std::ceil(facts.ranks / facts.per_node);
  facts.bus = ring_bus_of(network, facts.per_node);
  if (facts.nodes > 1) {
    const std::int64_t domain = network.scale_up_gpus();
    const double share = facts.least_per_node / static_cast<double>(domain);
    const double nodes_of_domain = static_cast<double>(domain) / static_cast<double>(network.gpus_per_node);
    const double uncongested = std::pow(std::max(1.0, facts.nodes / 2), -network.congestion);
    const double adapters = static_cast<double>(network.adapters) * nodes_of_domain * share;
    facts.adapters = network.adapter_rate * (adapters * uncongested);
    const double driven =
        network.ring_adapters > 0 ? std::min(adapters, static_cast<double>(network.ring_adapters)) : adapters;
    const ByteRate rings = network.adapter_rate * (driven * uncongested);
    // A ring through a node's GPUs and on takes one link less of the mesh than one that closes in the node.
    if (network.fabric == Fabric::xgmi_mesh && facts.per_node > 2) facts.bus *= facts.per_node / (facts.per_node - 1);
    facts.bus = facts.per_node > 1 ? std::min(facts.bus, rings) : rings;
  }
  return facts;
}

}  // namespace echelon
