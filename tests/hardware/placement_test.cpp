#include "sim/hardware/placement.h"

#include <algorithm>
#include <set>

#include "tests/catch.h"
#include "tests/hardware/clusters.h"

namespace echelon {

namespace {

Topology four_nodes() {
  return cluster(cluster_spec(NodeFamily::nvswitch, NetworkFamily::rail_optimised), 32);
}

}  // namespace

TEST_CASE("packed ranks fill node after node, scattered ones go round the nodes") {
  const Topology topology = four_nodes();
  const auto packed = place_ranks(topology, {}, 12);
  const auto scattered = place_ranks(topology, {PlacementKind::scattered, {}, 1, {}}, 12);
  for (std::int32_t rank = 0; rank < 12; ++rank) {
    CHECK(topology.vertex(packed[static_cast<std::size_t>(rank)]).node == rank / 8);
    CHECK(topology.vertex(scattered[static_cast<std::size_t>(rank)]).node == rank % 4);
  }
}

TEST_CASE("listed ranks sit where they are told") {
  const Topology topology = four_nodes();
  const auto placed = place_ranks(topology, {PlacementKind::listed, {9, 0, 31}, 1, {}}, 3);
  CHECK(placed == std::vector<VertexId>{topology.gpus[9], topology.gpus[0], topology.gpus[31]});
  CHECK_THROWS_AS(place_ranks(topology, {PlacementKind::listed, {9, 32}, 1, {}}, 2), InputError);
  CHECK_THROWS_AS(place_ranks(topology, {PlacementKind::listed, {9, -1}, 1, {}}, 2), InputError);
  CHECK_THROWS_AS(place_ranks(topology, {PlacementKind::listed, {9, 9}, 1, {}}, 2), InputError);
  CHECK_THROWS_AS(place_ranks(topology, {PlacementKind::listed, {9}, 1, {}}, 2), InputError);
  CHECK_THROWS_AS(place_ranks(topology, {}, 33), InputError);
}

TEST_CASE("a fragmented job has whole nodes, the same ones for the same seed") {
  const Topology topology = cluster(cluster_spec(NodeFamily::nvswitch, NetworkFamily::rail_optimised), 256);
  std::set<std::vector<VertexId>> drawn;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto placed = place_ranks(topology, {PlacementKind::fragmented, {}, seed, {}}, 20);
    CHECK(placed == place_ranks(topology, {PlacementKind::fragmented, {}, seed, {}}, 20));
    CHECK(std::set<VertexId>(placed.begin(), placed.end()).size() == 20);
    for (std::size_t rank = 1; rank < 20; ++rank)
      if (rank % 8 != 0) CHECK(topology.vertex(placed[rank]).node == topology.vertex(placed[rank - 1]).node);
    CHECK(std::is_sorted(placed.begin(), placed.end()));
    drawn.insert(placed);
  }
  CHECK(drawn.size() > 15);
}

}  // namespace echelon
