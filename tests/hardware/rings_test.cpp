#include "sim/hardware/rings.h"

#include <algorithm>
#include <map>
#include <set>

#include "tests/catch.h"
#include "tests/hardware/clusters.h"

namespace echelon {

namespace {

using DirectedEdges = std::map<std::pair<VertexId, VertexId>, int>;

DirectedEdges edges_of(const std::vector<std::vector<VertexId>>& rings) {
  DirectedEdges edges;
  for (const auto& ring : rings)
    for (std::size_t i = 0; i < ring.size(); ++i) ++edges[{ring[i], ring[(i + 1) % ring.size()]}];
  return edges;
}

// Direct links from a to b, in units of `unit`.
double links_between(const Topology& topology, VertexId a, VertexId b, ByteRate unit) {
  double links = 0;
  for (const Link& link : topology.links)
    if (link.from == a && link.to == b) links += link.bandwidth / unit;
  return links;
}

}  // namespace

TEST_CASE("the six rings of a DGX-1 use each of its NVLinks once in each direction") {
  const Topology topology = cluster(cluster_spec(NodeFamily::hybrid_cube_mesh, NetworkFamily::none), 8);
  const auto all = rings(topology, topology.gpus);
  CHECK(all.size() == 6);
  for (const auto& [edge, times] : edges_of(all))
    CHECK(links_between(topology, edge.first, edge.second, gigabytes_per_second(400)) == times);
  int used = 0;
  for (const auto& [edge, times] : edges_of(all)) used += times;
  CHECK(used == 8 * 6);
}

TEST_CASE("rings of a full mesh share no link") {
  const Topology topology = cluster(cluster_spec(NodeFamily::full_mesh, NetworkFamily::none), 8);
  const auto all = rings(topology, topology.gpus);
  // Of seven links a GPU, three undirected cycles use six.
  CHECK(all.size() == 6);
  for (const auto& [edge, times] : edges_of(all)) CHECK(times == 1);
}

TEST_CASE("rings pass every rank once, domain by domain, and enter a domain at another GPU each") {
  const Topology topology = cluster(cluster_spec(NodeFamily::nvswitch, NetworkFamily::rail_optimised), 32);
  const auto all = rings(topology, topology.gpus);
  REQUIRE(all.size() == 8);
  std::set<VertexId> entries;
  for (const auto& ring : all) {
    CHECK(std::set<VertexId>(ring.begin(), ring.end()).size() == 32);
    for (std::size_t i = 0; i < 32; ++i) CHECK(topology.vertex(ring[i]).node == static_cast<std::int32_t>(i / 8));
    entries.insert(ring[8]);
  }
  CHECK(entries.size() == 8);
}

TEST_CASE("uneven shares of nodes still make rings through all ranks") {
  const Topology topology = cluster(cluster_spec(NodeFamily::hybrid_cube_mesh, NetworkFamily::fat_tree), 24);
  // Seven, one and three ranks of the three nodes.
  std::vector<VertexId> ranks(topology.gpus.begin() + 1, topology.gpus.begin() + 9);
  ranks.insert(ranks.end(), topology.gpus.begin() + 20, topology.gpus.begin() + 23);
  for (const auto& ring : rings(topology, ranks)) CHECK(std::set<VertexId>(ring.begin(), ring.end()).size() == 11);
  CHECK(members_by_domain(topology, ranks).size() == 3);
}

}  // namespace echelon
