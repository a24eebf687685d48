// What joins the nodes of a site: one builder a family. Every adapter is joined to one switch.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "sim/hardware/topology_families.h"

namespace echelon {

namespace {

[[noreturn]] void refuse(const TopologySpec& spec, const std::string& wrong, const std::string& right) {
  throw InputError(spec.where, wrong, right);
}

std::int64_t divided_up(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

std::vector<VertexId> add_switches(Topology& topology, const std::string& name, std::int64_t count, std::int32_t tier) {
  std::vector<VertexId> switches;
  for (std::int64_t i = 0; i < count; ++i) {
    Vertex added{VertexKind::network_switch, fmt::format("{}{}", name, i)};
    added.tier = tier;
    switches.push_back(topology.add(std::move(added)));
  }
  return switches;
}

void join_adapter(const TopologySpec& spec, Topology& topology, VertexId adapter, VertexId to) {
  topology.join(adapter, to, {spec.node.adapter_link, *spec.node.adapter_latency, network_metric});
}

LinkSpec switch_link(const TopologySpec& spec, ByteRate bandwidth) {
  return {bandwidth, spec.network.switch_latency, network_metric};
}

TopSwitches no_network(const TopologySpec&, const SiteAdapters&, Topology&) {
  return {};
}

// Folded Clos networks: leaves, spines and, where the leaves are more than a spine's ports, pods of both under cores.
// Ports decide how many switches there are; several links between two switches are one trunk.
class Clos {
 public:
  Clos(const TopologySpec& spec, const SiteAdapters& site, Topology& topology)
      : spec_(spec), site_(site), topology_(topology) {}

  TopSwitches build() {
    join_leaves();
    const std::int64_t ports = spec_.network.switch_ports;
    const bool two_tiers = spec_.network.family == NetworkFamily::leaf_spine || spec_.network.spines > 0;
    if (leaves_.size() == 1) return leaves_;
    if (two_tiers || static_cast<std::int64_t>(leaves_.size()) <= ports) {
      const std::int64_t fewest = divided_up(static_cast<std::int64_t>(leaves_.size()) * leaf_uplinks(), ports);
      return spines_above(leaves_, spec_.network.spines > 0 ? spec_.network.spines : fewest, "spine");
    }
    return pods();
  }

 private:
  double oversubscription(std::size_t tier) const {
    const std::vector<double>& given = spec_.network.oversubscription;
    return tier < given.size() ? given[tier] : 1;
  }

  // Ports of a switch that point down where `oversubscription` times as much bandwidth goes down as up.
  std::int64_t down_ports(std::size_t tier) const {
    const double ratio = oversubscription(tier);
    const auto ports = static_cast<double>(spec_.network.switch_ports);
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::floor(ports * ratio / (1 + ratio))));
  }

  void join_leaves() {
    const bool rails = spec_.network.family == NetworkFamily::rail_optimised;
    const std::int64_t of_node = rails ? 1 : site_.per_node;  // adapters on one leaf
    const std::int64_t nodes = static_cast<std::int64_t>(site_.adapters.size()) / site_.per_node;
    std::int64_t nodes_per_leaf = spec_.network.nodes_per_leaf;
    if (nodes_per_leaf == 0) nodes_per_leaf = std::max<std::int64_t>(1, down_ports(0) / of_node);
    const std::int64_t groups = divided_up(nodes, nodes_per_leaf);
    leaves_ = add_switches(topology_, site_.prefix + "leaf", groups * (rails ? site_.per_node : 1), 1);
    for (std::size_t i = 0; i < site_.adapters.size(); ++i) {
      const std::int64_t group = static_cast<std::int64_t>(i) / site_.per_node / nodes_per_leaf;
      const std::int64_t rail = static_cast<std::int64_t>(i) % site_.per_node;
      const std::int64_t leaf = rails ? group * site_.per_node + rail : group;
      if (rails)
        topology_.vertices[static_cast<std::size_t>(leaves_[static_cast<std::size_t>(leaf)])].rail =
            static_cast<std::int32_t>(rail);
      join_adapter(spec_, topology_, site_.adapters[i], leaves_[static_cast<std::size_t>(leaf)]);
    }
    below_leaf_ = std::min(nodes, nodes_per_leaf) * of_node;
  }

  double leaf_up() const { return static_cast<double>(below_leaf_) / oversubscription(0); }  // in adapter links
  std::int64_t leaf_uplinks() const { return std::max<std::int64_t>(1, std::llround(std::ceil(leaf_up()))); }

  std::vector<VertexId> spines_above(const std::vector<VertexId>& leaves, std::int64_t count, const std::string& name) {
    std::vector<VertexId> spines = add_switches(topology_, site_.prefix + name, count, 2);
    const ByteRate trunk = spec_.node.adapter_link * (leaf_up() / static_cast<double>(count));
    for (const VertexId leaf : leaves)
      for (const VertexId spine : spines) topology_.join(leaf, spine, switch_link(spec_, trunk));
    return spines;
  }

  // The k-th spines of all pods form a plane under cores of their own.
  TopSwitches pods() {
    const auto leaves_per_pod = static_cast<std::size_t>(down_ports(1));
    const std::size_t pod_count = (leaves_.size() + leaves_per_pod - 1) / leaves_per_pod;
    const std::int64_t planes = leaf_uplinks();
    const double trunk = leaf_up() / static_cast<double>(planes);
    const double spine_up = trunk * static_cast<double>(leaves_per_pod) / oversubscription(1);
    const std::int64_t cores_of_plane =
        std::max<std::int64_t>(1, divided_up(std::llround(std::ceil(spine_up)) * static_cast<std::int64_t>(pod_count),
                                             spec_.network.switch_ports));
    std::vector<VertexId> cores = add_switches(topology_, site_.prefix + "core", planes * cores_of_plane, 3);
    for (std::size_t pod = 0; pod < pod_count; ++pod) {
      const auto first = leaves_.begin() + static_cast<std::ptrdiff_t>(pod * leaves_per_pod);
      const auto last =
          leaves_.begin() + static_cast<std::ptrdiff_t>(std::min(leaves_.size(), (pod + 1) * leaves_per_pod));
      const std::vector<VertexId> spines = spines_above({first, last}, planes, fmt::format("pod{}.spine", pod));
      for (std::size_t i = 0; i < cores.size(); ++i)
        topology_.join(spines[i / static_cast<std::size_t>(cores_of_plane)], cores[i],
                       switch_link(spec_, spec_.node.adapter_link * (spine_up / static_cast<double>(cores_of_plane))));
    }
    return cores;
  }

  const TopologySpec& spec_;
  const SiteAdapters& site_;
  Topology& topology_;
  std::vector<VertexId> leaves_;
  std::int64_t below_leaf_ = 1;  // adapters
};

TopSwitches clos(const TopologySpec& spec, const SiteAdapters& site, Topology& topology) {
  return Clos(spec, site, topology).build();
}

struct DragonflySize {
  std::int64_t routers;   // of a group
  std::int64_t adapters;  // of a router
  std::int64_t links;     // global ones of a router
  std::int64_t groups;
};

// Balanced by the paper's rule a = 2p = 2h, all ports of a router in use: a - 1 + p + h = ports.
DragonflySize dragonfly_size(const TopologySpec& spec, std::int64_t adapters) {
  const NetworkShape& network = spec.network;
  const std::int64_t balanced = std::max<std::int64_t>(1, (network.switch_ports + 1) / 4);
  DragonflySize size{};
  size.adapters = network.adapters_per_router > 0 ? network.adapters_per_router : balanced;
  size.routers = network.routers_per_group > 0 ? network.routers_per_group : 2 * size.adapters;
  size.links = network.global_links > 0 ? network.global_links : size.adapters;
  size.groups = divided_up(adapters, size.adapters * size.routers);
  if (size.groups > size.routers * size.links + 1)
    refuse(spec,
           fmt::format("{} groups of a dragonfly, each with {} global links", size.groups, size.routers * size.links),
           fmt::format("expected at most {} groups: more routers_per_group, adapters_per_router or global_links",
                       size.routers * size.links + 1));
  return size;
}

// A way over two global links costs more than one with a local link on either side.
constexpr std::int32_t global_metric = 3 * network_metric;

// The m-th link between groups i and j leaves each group by the slot that the other group has in its m-th round.
void join_groups(const TopologySpec& spec, const DragonflySize& size, const std::vector<VertexId>& routers,
                 Topology& topology) {
  const std::int64_t rounds = size.groups > 1 ? size.routers * size.links / (size.groups - 1) : 0;
  const auto router = [&](std::int64_t group, std::int64_t slot) {
    return routers[static_cast<std::size_t>(group * size.routers + slot / size.links)];
  };
  for (std::int64_t i = 0; i < size.groups; ++i)
    for (std::int64_t j = i + 1; j < size.groups; ++j)
      for (std::int64_t m = 0; m < rounds; ++m)
        topology.join(router(i, m * (size.groups - 1) + j - 1), router(j, m * (size.groups - 1) + i),
                      {spec.node.adapter_link, spec.network.switch_latency, global_metric});
}

TopSwitches dragonfly(const TopologySpec& spec, const SiteAdapters& site, Topology& topology) {
  const DragonflySize size = dragonfly_size(spec, static_cast<std::int64_t>(site.adapters.size()));
  std::vector<VertexId> routers = add_switches(topology, site.prefix + "router", size.groups * size.routers, 1);
  for (std::size_t i = 0; i < site.adapters.size(); ++i)
    join_adapter(spec, topology, site.adapters[i], routers[i / static_cast<std::size_t>(size.adapters)]);
  for (std::int64_t group = 0; group < size.groups; ++group)
    for (std::int64_t a = 0; a < size.routers; ++a)
      for (std::int64_t b = a + 1; b < size.routers; ++b)
        topology.join(routers[static_cast<std::size_t>(group * size.routers + a)],
                      routers[static_cast<std::size_t>(group * size.routers + b)],
                      switch_link(spec, spec.node.adapter_link));
  join_groups(spec, size, routers, topology);
  return routers;
}

// The divisors of `count` into so many factors that lie nearest to each other, largest first.
std::vector<std::int64_t> near_cube(std::int64_t count, std::int64_t dimensions) {
  std::vector<std::int64_t> shape;
  for (; dimensions > 1; --dimensions) {
    auto side = static_cast<std::int64_t>(
        std::llround(std::ceil(std::pow(static_cast<double>(count), 1.0 / static_cast<double>(dimensions)) - 1e-9)));
    while (count % side != 0) ++side;
    shape.push_back(side);
    count /= side;
  }
  shape.push_back(count);
  std::sort(shape.begin(), shape.end(), std::greater<>());
  return shape;
}

TopSwitches torus(const TopologySpec& spec, const SiteAdapters& site, Topology& topology) {
  const std::int64_t nodes = static_cast<std::int64_t>(site.adapters.size()) / site.per_node;
  std::vector<std::int64_t> shape = spec.network.torus_shape;
  if (shape.empty()) shape = near_cube(nodes, spec.network.torus_dimensions);
  const std::int64_t places = std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  if (places < nodes)
    refuse(spec, fmt::format("a torus of {} places for {} nodes", places, nodes),
           "expected a torus_shape whose product is the nodes at least");
  std::vector<VertexId> routers = add_switches(topology, site.prefix + "router", places, 1);
  for (std::size_t i = 0; i < site.adapters.size(); ++i)
    join_adapter(spec, topology, site.adapters[i], routers[i / static_cast<std::size_t>(site.per_node)]);
  std::int64_t stride = 1;
  for (const std::int64_t side : shape) {
    for (std::int64_t place = 0; place < places; ++place) {
      const std::int64_t along = place / stride % side;
      if (side == 1 || (side == 2 && along == 1)) continue;  // a ring of two is one link
      const std::int64_t next = place + ((along + 1) % side - along) * stride;
      topology.join(routers[static_cast<std::size_t>(place)], routers[static_cast<std::size_t>(next)],
                    switch_link(spec, spec.network.torus_link));
    }
    stride *= side;
  }
  return routers;
}

}  // namespace

const std::vector<NetworkFamilyRow>& network_families() {
  static const std::vector<NetworkFamilyRow> rows = {
      {NetworkFamily::none, "nodes stand alone", no_network},
      {NetworkFamily::rail_optimised, "the k-th adapters of a group of nodes on one leaf; spines and cores above",
       clos},
      {NetworkFamily::fat_tree, "all adapters of a group of nodes on one leaf; spines and cores above", clos},
      {NetworkFamily::leaf_spine, "all adapters of a group of nodes on one leaf; spines above", clos},
      {NetworkFamily::dragonfly, "groups of routers, all joined inside and with each other", dragonfly},
      {NetworkFamily::torus, "a router a node, joined with its neighbours along rings", torus},
  };
  return rows;
}

}  // namespace echelon
