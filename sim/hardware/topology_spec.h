// What a cluster's topology is built from: families of nodes and of networks with their numbers, or a graph drawn link
// by link. The `topology:` section of a hardware profile (sim/config/topology_config.h); built by topology_families.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/enum_names.h"
#include "sim/base/error.h"
#include "sim/base/units.h"
#include "sim/hardware/topology.h"

namespace echelon {

enum class NodeFamily { nvswitch, hybrid_cube_mesh, full_mesh, pcie_tree };

template <>
inline constexpr auto enum_names<NodeFamily> = std::to_array<EnumName<NodeFamily>>({
    {NodeFamily::nvswitch, "nvswitch"},
    {NodeFamily::hybrid_cube_mesh, "hybrid_cube_mesh"},
    {NodeFamily::full_mesh, "full_mesh"},
    {NodeFamily::pcie_tree, "pcie_tree"},
});

enum class NetworkFamily { none, rail_optimised, fat_tree, leaf_spine, dragonfly, torus };

template <>
inline constexpr auto enum_names<NetworkFamily> = std::to_array<EnumName<NetworkFamily>>({
    {NetworkFamily::none, "none"},
    {NetworkFamily::rail_optimised, "rail_optimised"},
    {NetworkFamily::fat_tree, "fat_tree"},
    {NetworkFamily::leaf_spine, "leaf_spine"},
    {NetworkFamily::dragonfly, "dragonfly"},
    {NetworkFamily::torus, "torus"},
});

// Rates are each direction's. 0 = from the profile's `network:` (with_defaults() says which number).
struct NodeShape {
  std::optional<NodeFamily> family;       // absent: as the profile's fabric says
  std::int64_t gpus = 0;                  // of a node
  std::int64_t domain_gpus = 0;           // that one scale-up fabric joins; more than a node's: over several nodes
  ByteRate gpu_link;                      // GPU to switch, or one link of a mesh
  std::optional<Seconds> gpu_latency;     // of such a link
  std::int64_t gpus_per_pcie_switch = 4;  // pcie_tree; 1 = each on its host bridge
  std::int64_t host_bridges = 2;          // pcie_tree: CPU sockets, joined with each other
  ByteRate host_link;                     // pcie_tree: between sockets
  std::int64_t adapters = 0;
  ByteRate adapter_link;                   // adapter to network
  std::optional<Seconds> adapter_latency;  // of that link
};

struct NetworkShape {
  std::optional<NetworkFamily> family;   // absent: rail_optimised, or none where nodes have no adapters
  std::int64_t switch_ports = 64;        // of an adapter's rate each
  std::int64_t nodes_per_leaf = 0;       // 0 = as the ports allow
  std::int64_t spines = 0;               // of two tiers; 0 = as few as the ports allow
  std::vector<double> oversubscription;  // by tier from the leaves up: bandwidth below over bandwidth above; absent = 1
  Seconds switch_latency;                // of a link between switches
  std::int64_t routers_per_group = 0;    // dragonfly: a; 0 = balanced by the ports
  std::int64_t adapters_per_router = 0;  // dragonfly: p
  std::int64_t global_links = 0;         // dragonfly: h of each router
  std::vector<std::int64_t> torus_shape;  // nodes along each dimension; empty = near a square or cube
  std::int64_t torus_dimensions = 2;      // where no shape is given: 2 or 3
  ByteRate torus_link;                    // between neighbours; 0 = all of a node's adapters
  std::int64_t sites = 1;  // data centres, each with a network of the family and an equal part of the nodes
  ByteRate site_link;      // between two sites
  Seconds site_latency;    // of that link; light in fibre takes 4.9 us a kilometre
};

// Which way a flow goes. rails: inside the node to the GPU of the destination's rail first, where there is one.
enum class Routing { shortest, rails };

template <>
inline constexpr auto enum_names<Routing> = std::to_array<EnumName<Routing>>({
    {Routing::shortest, "shortest"},
    {Routing::rails, "rails"},
});

// Over equal paths: ideally even, or each flow on one that a hash of its number chooses (ECMP).
enum class Spread { even, hash };

template <>
inline constexpr auto enum_names<Spread> = std::to_array<EnumName<Spread>>({
    {Spread::even, "even"},
    {Spread::hash, "hash"},
});

struct RoutePolicy {
  Routing routing = Routing::shortest;
  Spread spread = Spread::even;
};

struct TopologySpec {
  NodeShape node;
  NetworkShape network;
  std::optional<Routing> routing;  // absent: rails on a rail-optimised network
  Spread spread = Spread::even;
  std::optional<Topology> graph;  // drawn link by link: node and network are not looked at
  std::string source;             // of the choice of families and of the numbers given here
  SourceLocation where;           // of the section, for messages
};

}  // namespace echelon
