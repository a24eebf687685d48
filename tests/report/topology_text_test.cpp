#include "sim/report/topology_text.h"

#include <nlohmann/json.hpp>

#include "sim/report/topology_svg.h"
#include "tests/catch.h"
#include "tests/hardware/clusters.h"

namespace echelon {

namespace {

Topology two_nodes() {
  return cluster(cluster_spec(NodeFamily::nvswitch, NetworkFamily::rail_optimised), 16);
}

std::size_t occurrences(const std::string& text, const std::string& word) {
  std::size_t count = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("a topology's text counts its parts and gives the rate that half a cluster leaves each GPU") {
  const std::string text = topology_text(two_nodes(), {Routing::rails, Spread::even});
  CAPTURE(text);
  CHECK(text.find("16 gpu, 2 nvswitch, 16 nic, 8 leaf, 1 spine") != std::string::npos);
  CHECK(text.find("n0.gpu0 > nvswitch0 > n0.gpu1") != std::string::npos);
  // GPU i and GPU i + 8 share a rail: an adapter's 50 GB/s each.
  CHECK(text.find("50.0 GB/s each, 50.0 the slowest") != std::string::npos);
}

TEST_CASE("a topology's JSON, Graphviz and SVG forms have every vertex and every link once") {
  const Topology topology = two_nodes();
  const auto json = topology_json(topology);
  CHECK(json["vertices"].size() == topology.vertices.size());
  CHECK(json["links"].size() == topology.links.size() / 2);
  const std::string dot = topology_dot(topology);
  CHECK(occurrences(dot, " -- ") == topology.links.size() / 2);
  CHECK(occurrences(dot, "subgraph") == 2);
  const std::string svg = topology_svg(topology);
  CHECK(occurrences(svg, "<rect") == topology.vertices.size() + 1);
  CHECK(occurrences(svg, "<title>") == topology.vertices.size() + topology.links.size() / 2);
}

TEST_CASE("names that users chose cannot break out of a picture") {
  Topology topology;
  const VertexId a = topology.add({VertexKind::gpu, "a\"<b>", 0});
  topology.join(a, topology.add({VertexKind::gpu, "x\\", 1}), {gigabytes_per_second(1), Seconds(0), 1});
  CHECK(topology_svg(topology).find("<b>") == std::string::npos);
  CHECK(topology_dot(topology).find("\"a\\\"<b>\" -- \"x\\\\\"") != std::string::npos);
}

}  // namespace echelon
