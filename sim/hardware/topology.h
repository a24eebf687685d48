// A cluster as a graph: GPUs, network adapters, bridges and switches, joined by links that each carry so many bytes a
// second either way.
//
// Links are directed and come in pairs: join() makes 2k from a to b and 2k + 1 back, so that link ^ 1 is the other way.
// Builders of whole families stand in topology_families.h, paths in route.h, shared bandwidth in sim/engine/flow.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/base/enum_names.h"
#include "sim/base/units.h"

namespace echelon {

enum class VertexKind : std::uint8_t { gpu, adapter, pcie_switch, host_bridge, scale_up_switch, network_switch };

template <>
inline constexpr auto enum_names<VertexKind> = std::to_array<EnumName<VertexKind>>({
    {VertexKind::gpu, "gpu"},
    {VertexKind::adapter, "adapter"},
    {VertexKind::pcie_switch, "pcie_switch"},
    {VertexKind::host_bridge, "host_bridge"},
    {VertexKind::scale_up_switch, "scale_up_switch"},
    {VertexKind::network_switch, "network_switch"},
});

using VertexId = std::int32_t;
using LinkId = std::int32_t;
inline constexpr std::int32_t shared_by_nodes = -1;

struct Vertex {
  VertexKind kind = VertexKind::gpu;
  std::string name;                     // unique: "n3.gpu0", "leaf2"
  std::int32_t node = shared_by_nodes;  // that it sits in; what nodes share is passed through by anyone's traffic
  std::int32_t domain = -1;             // of GPUs: those that one scale-up fabric joins; -1 = none beyond the node
  std::int32_t rail = -1;               // of GPUs and adapters: their place in the node, for routing by rails
  std::int32_t tier = 0;                // of switches: distance from the nodes, for drawing
};

struct Link {
  VertexId from = 0;
  VertexId to = 0;
  ByteRate bandwidth;       // this way alone, above 0
  Seconds latency;          // of a byte to pass
  std::int32_t metric = 1;  // of shortest paths, 1 or more; the same both ways
  bool up = true;           // false: nothing goes over it (link_faults.h)
};

struct LinkSpec {
  ByteRate bandwidth;
  Seconds latency;
  std::int32_t metric = 1;
};

inline constexpr std::size_t most_vertices = 2'000'000;  // of a topology
inline constexpr std::size_t most_links = 8'000'000;     // each way counted

struct Topology {
  std::string name;
  std::vector<Vertex> vertices;
  std::vector<Link> links;
  std::vector<VertexId> gpus;  // in the order in which a cluster counts them
  bool gpus_forward = false;   // a GPU passes on what others of its node send (NVLink meshes)

  // Throws std::length_error beyond most_vertices.
  VertexId add(Vertex vertex);
  // Both directions; returns the link from a to b. Throws std::length_error beyond most_links.
  LinkId join(VertexId a, VertexId b, const LinkSpec& spec);

  const Vertex& gpu(std::int32_t index) const { return vertices[static_cast<std::size_t>(gpus[index])]; }
  const Vertex& vertex(VertexId id) const { return vertices[static_cast<std::size_t>(id)]; }
  const Link& link(LinkId id) const { return links[static_cast<std::size_t>(id)]; }
};

// A link of a route and the share of the route's bytes that it carries: 1, or less where a route is spread over paths.
struct Hop {
  LinkId link = 0;
  double share = 1;  // above 0
  friend bool operator==(const Hop&, const Hop&) = default;
};

// What vertices of its sort are called: "leaf" of "site0.leaf12", "gpu" of "n0.gpu1".
std::string sort_of(const Vertex& vertex);

// Bandwidths by link, for the flow engine.
std::vector<ByteRate> link_capacities(const Topology& topology);

}  // namespace echelon
