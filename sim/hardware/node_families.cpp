// What a node looks like inside: one builder a family.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sim/hardware/topology_families.h"

namespace echelon {

namespace {

std::string in_node(std::int32_t node, const char* what, std::int64_t index) {
  return fmt::format("n{}.{}{}", node, what, index);
}

// Place of the i-th of `count` things among `slots` even ones.
std::int64_t slot(std::int64_t i, std::int64_t count, std::int64_t slots) {
  return i * slots / std::max<std::int64_t>(1, count);
}

// With fewer adapters than GPUs a rail is an adapter's.
std::vector<VertexId> add_gpus(const NodeShape& shape, std::int32_t node, Topology& topology) {
  const std::int64_t rails = shape.adapters > 0 ? std::min(shape.adapters, shape.gpus) : shape.gpus;
  const std::int64_t before = static_cast<std::int64_t>(node) * shape.gpus;
  const std::int64_t domain = std::max(shape.domain_gpus, shape.gpus);
  std::vector<VertexId> gpus;
  for (std::int64_t i = 0; i < shape.gpus; ++i) {
    Vertex gpu{VertexKind::gpu, in_node(node, "gpu", i), node};
    gpu.domain = static_cast<std::int32_t>((before + i) / domain);
    gpu.rail = static_cast<std::int32_t>(slot(i, shape.gpus, rails));
    gpus.push_back(topology.add(std::move(gpu)));
  }
  return gpus;
}

std::vector<VertexId> add_adapters(const NodeShape& shape, std::int32_t node, Topology& topology) {
  std::vector<VertexId> adapters;
  for (std::int64_t i = 0; i < shape.adapters; ++i) {
    Vertex adapter{VertexKind::adapter, in_node(node, "nic", i), node};
    adapter.rail = static_cast<std::int32_t>(i);
    adapters.push_back(topology.add(std::move(adapter)));
  }
  return adapters;
}

// Each GPU beside its adapters, by a link that never holds an adapter back.
void join_adapters(const NodeShape& shape, std::int32_t node, const std::vector<VertexId>& gpus, Topology& topology) {
  const std::vector<VertexId> adapters = add_adapters(shape, node, topology);
  const std::int64_t count = std::max(shape.gpus, shape.adapters);
  for (std::int64_t i = 0; i < count && !adapters.empty(); ++i) {
    const auto gpu = static_cast<std::size_t>(slot(i, count, shape.gpus));
    const auto adapter = static_cast<std::size_t>(slot(i, count, shape.adapters));
    topology.join(gpus[gpu], adapters[adapter], {shape.adapter_link, Seconds(0), pcie_metric});
  }
}

LinkSpec scale_up_link(const NodeShape& shape, double links = 1) {
  return {shape.gpu_link * links, *shape.gpu_latency, scale_up_metric};
}

// A domain's switch chips are one here: hardware spreads every message over all of them.
VertexId fabric_of(const NodeShape& shape, std::int32_t domain, std::int32_t node, Topology& topology) {
  for (auto id = static_cast<VertexId>(topology.vertices.size()) - 1; id >= 0; --id) {
    const Vertex& vertex = topology.vertex(id);
    if (vertex.kind == VertexKind::scale_up_switch && vertex.domain == domain) return id;
    if (vertex.kind == VertexKind::gpu && vertex.domain < domain) break;
  }
  const bool several_nodes = shape.domain_gpus > shape.gpus;
  Vertex added{VertexKind::scale_up_switch, fmt::format("nvswitch{}", domain), several_nodes ? shared_by_nodes : node};
  added.domain = domain;
  return topology.add(std::move(added));
}

void nvswitch(const NodeShape& shape, std::int32_t node, Topology& topology) {
  const std::vector<VertexId> gpus = add_gpus(shape, node, topology);
  for (const VertexId gpu : gpus)
    topology.join(gpu, fabric_of(shape, topology.vertex(gpu).domain, node, topology), scale_up_link(shape));
  join_adapters(shape, node, gpus, topology);
}

// NVLinks between GPUs of a DGX-1 with V100: a topology dump in NVIDIA/nccl#671.
struct MeshEdge {
  int a;
  int b;
  int links;
};
constexpr std::array<MeshEdge, 16> cube_mesh{{{0, 1, 1},
                                              {0, 2, 1},
                                              {0, 3, 2},
                                              {0, 4, 2},
                                              {1, 2, 2},
                                              {1, 3, 1},
                                              {1, 5, 2},
                                              {2, 3, 2},
                                              {2, 6, 1},
                                              {3, 7, 1},
                                              {4, 5, 1},
                                              {4, 6, 1},
                                              {4, 7, 2},
                                              {5, 6, 2},
                                              {5, 7, 1},
                                              {6, 7, 2}}};

void hybrid_cube_mesh(const NodeShape& shape, std::int32_t node, Topology& topology) {
  topology.gpus_forward = true;
  const std::vector<VertexId> gpus = add_gpus(shape, node, topology);
  for (const MeshEdge& edge : cube_mesh) {
    if (edge.b >= shape.gpus) continue;
    topology.join(gpus[static_cast<std::size_t>(edge.a)], gpus[static_cast<std::size_t>(edge.b)],
                  scale_up_link(shape, edge.links));
  }
  join_adapters(shape, node, gpus, topology);
}

void full_mesh(const NodeShape& shape, std::int32_t node, Topology& topology) {
  const std::vector<VertexId> gpus = add_gpus(shape, node, topology);
  for (std::size_t a = 0; a < gpus.size(); ++a)
    for (std::size_t b = a + 1; b < gpus.size(); ++b) topology.join(gpus[a], gpus[b], scale_up_link(shape));
  join_adapters(shape, node, gpus, topology);
}

void pcie_tree(const NodeShape& shape, std::int32_t node, Topology& topology) {
  const std::vector<VertexId> gpus = add_gpus(shape, node, topology);
  const std::vector<VertexId> adapters = add_adapters(shape, node, topology);
  const LinkSpec lane{shape.gpu_link, *shape.gpu_latency, pcie_metric};
  std::vector<VertexId> bridges;
  for (std::int64_t i = 0; i < shape.host_bridges; ++i) {
    bridges.push_back(topology.add({VertexKind::host_bridge, in_node(node, "host", i), node}));
    for (std::size_t other = 0; other + 1 < bridges.size(); ++other)
      topology.join(bridges[other], bridges.back(), {shape.host_link, Seconds(0), pcie_metric});
  }
  std::vector<VertexId> switches;  // what GPUs and adapters hang on
  const std::int64_t count = (shape.gpus + shape.gpus_per_pcie_switch - 1) / shape.gpus_per_pcie_switch;
  for (std::int64_t i = 0; i < count; ++i) {
    const VertexId bridge = bridges[static_cast<std::size_t>(slot(i, count, shape.host_bridges))];
    if (shape.gpus_per_pcie_switch == 1) {
      switches.push_back(bridge);
      continue;
    }
    switches.push_back(topology.add({VertexKind::pcie_switch, in_node(node, "pcie", i), node}));
    topology.join(switches.back(), bridge, {lane.bandwidth, Seconds(0), pcie_metric});
  }
  for (std::size_t i = 0; i < gpus.size(); ++i)
    topology.join(gpus[i], switches[i / static_cast<std::size_t>(shape.gpus_per_pcie_switch)], lane);
  for (std::size_t i = 0; i < adapters.size(); ++i)
    topology.join(adapters[i],
                  switches[static_cast<std::size_t>(slot(static_cast<std::int64_t>(i), shape.adapters, count))],
                  {std::max(shape.gpu_link, shape.adapter_link), Seconds(0), pcie_metric});
}

}  // namespace

const std::vector<NodeFamilyRow>& node_families() {
  static const std::vector<NodeFamilyRow> rows = {
      {NodeFamily::nvswitch, "every GPU on one switch fabric", nvswitch},
      {NodeFamily::hybrid_cube_mesh, "eight GPUs of six NVLinks each, as in DGX-1", hybrid_cube_mesh},
      {NodeFamily::full_mesh, "a link between every two GPUs", full_mesh},
      {NodeFamily::pcie_tree, "GPUs and adapters below PCIe switches below joined host bridges", pcie_tree},
  };
  return rows;
}

}  // namespace echelon
