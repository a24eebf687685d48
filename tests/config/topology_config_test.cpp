#include "sim/config/topology_config.h"

#include <filesystem>

#include "sim/config/profile_config.h"
#include "sim/hardware/route.h"
#include "sim/hardware/topology_families.h"
#include "tests/catch.h"
#include "tests/config/config_test.h"

using namespace echelon;
using echelon::test::error_of;

namespace {

TopologySpec spec_of(const std::string& text) {
  return topology_from_yaml(parse_text(text, "doc"));
}

std::string refusal(const std::string& text) {
  return error_of([&] { spec_of(text); });
}

const std::string pair = R"(graph:
  vertices:
    - {name: a, kind: gpu, node: 0}
    - {name: b, kind: gpu, node: 1}
    - {name: leaf, kind: network_switch}
  links:
    - {between: [a, leaf], gb_s: 25, latency_us: 2}
    - {between: [b, leaf], gb_s: 50}
)";

}  // namespace

TEST_CASE("a topology's families and numbers are read in the units of their keys") {
  const TopologySpec spec = spec_of(R"(
node: {family: pcie_tree, gpus: 4, gpu_gb_s: 24, gpu_latency_us: 0.7, host_bridges: 1}
network: {family: fat_tree, oversubscription: [1.5, 2], sites: 2, site_gb_s: 3, site_latency_us: 490}
routing: shortest
spread: hash
source: a test
)");
  CHECK(spec.node.family == NodeFamily::pcie_tree);
  CHECK(spec.node.gpus == 4);
  CHECK(spec.node.gpu_link == gigabytes_per_second(24));
  CHECK(spec.node.gpu_latency->value() == Approx(0.7e-6));
  const TopologySpec torus = spec_of("network: {family: torus, torus_shape: [4, 4]}");
  CHECK(torus.network.torus_shape == std::vector<std::int64_t>{4, 4});
  CHECK(spec.network.oversubscription == std::vector<double>{1.5, 2});
  CHECK(spec.network.site_latency.value() == Approx(490e-6));
  CHECK(spec.routing == Routing::shortest);
  CHECK(spec.spread == Spread::hash);
}

TEST_CASE("what is wrong with a topology is said where it stands") {
  CHECK(refusal("network: {family: fat_tre}").find("doc:1:19: ") == 0);
  CHECK(refusal("network: {family: fat_tree, spine: 3}").find("did you mean 'spines'") != std::string::npos);
  CHECK(refusal("network: {oversubscription: [0]}").find("doc:1:30: ") == 0);
  CHECK(refusal("network: {family: torus, torus_shape: [2, 2, 2, 2]}").find("expected 2 or 3") != std::string::npos);
  CHECK(refusal("node: {gpus: 4}\n" + pair).find("either 'graph'") != std::string::npos);
}

TEST_CASE("numbers of another topology than the one at hand are refused") {
  CHECK(refusal("network: {torus_shape: [4, 4]}") ==
        "doc:1:24: rail_optimised has no torus_shape; expected family: torus");
  CHECK(refusal("network: {family: torus, oversubscription: [2]}")
            .find("torus has no oversubscription; expected family: rail_optimised or fat_tree or leaf_spine") !=
        std::string::npos);
  CHECK(refusal("network: {family: fat_tree, global_links: 2}").find("expected family: dragonfly") !=
        std::string::npos);
  CHECK(refusal("node: {family: nvswitch, host_bridges: 1}").find("expected family: pcie_tree") != std::string::npos);
  CHECK(refusal("network: {oversubscription: [2, 2, 2]}").find("expected 1 or 2") != std::string::npos);
  CHECK(refusal("network: {family: leaf_spine, oversubscription: [2, 2]}").find("the leaves alone") !=
        std::string::npos);
  CHECK(refusal("network: {site_gb_s: 10}").find("expected 'sites', 2 or more") != std::string::npos);
}

TEST_CASE("a drawn graph is the topology, whatever the profile's links are") {
  const TopologySpec spec = spec_of(pair);
  const Topology topology = build_topology(spec, 2);
  REQUIRE(topology.gpus.size() == 2);
  REQUIRE(topology.links.size() == 4);
  CHECK(topology.links[0].bandwidth == gigabytes_per_second(25));
  CHECK(topology.links[0].latency.value() == Approx(2e-6));
  CHECK(Router(topology, {}).route(topology.gpus[0], topology.gpus[1], 0)->hops.size() == 2);
  CHECK_THROWS_AS(build_topology(spec, 3), InputError);
}

TEST_CASE("what is wrong with a drawn graph is said where it stands") {
  const auto with = [](const std::string& from, const std::string& to) {
    std::string text = pair;
    text.replace(text.find(from), from.size(), to);
    return refusal(text);
  };
  CHECK(with("[a, leaf]", "[a, laef]") == "doc:7:21: no vertex 'laef'; did you mean 'leaf'?");
  CHECK(with("[a, leaf]", "[a, a]").find("from a vertex to itself") != std::string::npos);
  CHECK(with("[a, leaf]", "[a]").find("a link with 1 ends") != std::string::npos);
  CHECK(with("name: b", "name: a").find("doc:4:14: a second vertex 'a'") == 0);
  CHECK(with("[b, leaf], gb_s: 50", "[a, b], gb_s: 50").find("no way") == std::string::npos);
  CHECK(with("    - {between: [b, leaf], gb_s: 50}\n", "").find("no way from 'b' to 'a'") != std::string::npos);
  CHECK(with("gb_s: 25", "gb_s: 0").find("doc:7:") == 0);
  CHECK(with("gb_s: 25, ", "").find("missing key 'gb_s'") != std::string::npos);
  CHECK(refusal("graph: {vertices: [], links: []}").find("a graph without GPUs") != std::string::npos);
}

TEST_CASE("a drawn graph has bounds, so that checking it takes no time to speak of") {
  std::string text = "graph:\n  links: []\n  vertices:\n";
  for (int i = 0; i <= 2000; ++i) text += "    - {name: g" + std::to_string(i) + ", kind: gpu}\n";
  CHECK(refusal(text).find("expected at most 2000") != std::string::npos);
}

TEST_CASE("a topology is written as it is read") {
  for (const std::string& text :
       {pair,
        std::string(
            "node: {family: full_mesh, adapters: 2, adapter_latency_us: 0}\n"
            "network: {oversubscription: [2, 1], sites: 2, site_latency_us: 1.5}\nrouting: rails\nsource: \"s\"\n")}) {
    const std::string once = topology_to_yaml(spec_of(text), 0);
    CHECK(topology_to_yaml(spec_of(once), 0) == once);
  }
  CHECK(topology_to_yaml({}, 2).empty());
  CHECK(spec_of(topology_to_yaml(spec_of("node: {gpu_latency_us: 0}"), 0)).node.gpu_latency == Seconds(0));
}

TEST_CASE("every shipped profile's topology is built and all of its GPUs are joined") {
  const std::filesystem::path shipped = std::filesystem::path(ECHELON_SOURCE_DIR) / "hardware_profiles";
  for (const auto& entry : std::filesystem::directory_iterator(shipped)) {
    if (entry.path().extension() != ".yaml") continue;
    CAPTURE(entry.path());
    const Profile profile = load_profile(entry.path());
    const TopologySpec spec = with_defaults(profile.topology, profile.network);
    CHECK_FALSE(spec.source.empty());
    const bool joined = spec.network.family != NetworkFamily::none;
    const Topology topology = build_topology(spec, spec.node.domain_gpus * (joined ? 3 : 1));
    Router router(topology, {*spec.routing, spec.spread});
    for (const VertexId gpu : topology.gpus) CHECK(router.route(topology.gpus.back(), gpu, 0).has_value());
  }
}
