// Builds a cluster's graph from families with parameters: what a node looks like inside, and what joins the nodes.
//
// A family is one row of node_families() or network_families(): its name, what it is, and the function that builds it.
//   nvswitch          every GPU on one switch fabric, over several nodes where domain_gpus says so (NVL72)
//   hybrid_cube_mesh  eight GPUs of six NVLinks each, as in DGX-1 (NVIDIA WP-08437-002, "NVLink network topology")
//   full_mesh         a link between every two GPUs of a node (xGMI)
//   pcie_tree         GPUs and adapters below PCIe switches below joined host bridges
//   rail_optimised    the k-th adapters of nodes_per_leaf nodes on one leaf; spines and cores above
//   fat_tree          all adapters of nodes_per_leaf nodes on one leaf; spines, and cores where one tier of spines is
//                     too small (M. Al-Fares, A. Loukissas, A. Vahdat, SIGCOMM 2008)
//   leaf_spine        the same in two tiers, whatever the size
//   dragonfly         groups of routers, all joined inside; groups joined all to all (J. Kim, W. Dally, S. Scott,
//                     D. Abts, ISCA 2008)
//   torus             a router a node, joined with its neighbours along two or three rings
// Several sites: one network of the family each, with a gateway that the sites' one long link joins.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/hardware/network.h"
#include "sim/hardware/topology.h"
#include "sim/hardware/topology_spec.h"

namespace echelon {

// Metrics of links, so that traffic stays on the fastest kind of link that reaches its end.
inline constexpr std::int32_t scale_up_metric = 1;
inline constexpr std::int32_t pcie_metric = 10;
inline constexpr std::int32_t network_metric = 100;
inline constexpr std::int32_t site_metric = 100'000;  // no way inside a site leads over its gateway

// The spec with every absent number taken from what a profile knows of its links.
//   gpus, domain_gpus, adapters  as named; family by fabric
//   gpu_link         the fastest of ring_bus, pair, all-to-all (nvswitch: bytes of a GPU each way); a mesh: pair
//   gpu_latency      half of a message's (two links), a mesh: all of it
//   adapter_link     adapter rate; adapter_latency: half of a message's
TopologySpec with_defaults(TopologySpec spec, const Network& network);

// The cluster of `gpus` GPUs in whole nodes, from a spec with_defaults(). Throws InputError at spec.where for numbers
// that make no cluster of that size, with those that would.
Topology build_topology(const TopologySpec& spec, std::int64_t gpus);

// A row's function adds to `topology`.
struct NodeFamilyRow {
  NodeFamily family;
  const char* meaning;
  void (*build)(const NodeShape& shape, std::int32_t node, Topology& topology);
};
const std::vector<NodeFamilyRow>& node_families();

// Switches to which a site's gateway is joined.
using TopSwitches = std::vector<VertexId>;

// What a network joins: a site's adapters, by node and then by place in it.
struct SiteAdapters {
  std::vector<VertexId> adapters;
  std::int64_t per_node = 0;
  std::int64_t first_node = 0;
  std::string prefix;  // of names; empty for a single site
};

struct NetworkFamilyRow {
  NetworkFamily family;
  const char* meaning;
  TopSwitches (*build)(const TopologySpec& spec, const SiteAdapters& site, Topology& topology);
};
const std::vector<NetworkFamilyRow>& network_families();

}  // namespace echelon
