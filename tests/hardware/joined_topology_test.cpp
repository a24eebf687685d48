#include "sim/hardware/joined_topology.h"

#include "sim/hardware/route.h"
#include "sim/hardware/topology_families.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

TopologyPart part(NetworkFamily family, std::int64_t gpus, double outwards) {
  TopologySpec spec;
  spec.node.family = NodeFamily::nvswitch;
  spec.node.gpus = 2;
  spec.node.domain_gpus = 2;
  spec.node.gpu_link = gigabytes_per_second(400);
  spec.node.gpu_latency = Seconds(0);
  spec.node.adapters = 2;
  spec.node.adapter_link = gigabytes_per_second(50);
  spec.node.adapter_latency = Seconds(0);
  spec.network.family = family;
  spec = with_defaults(spec, Network());
  return {build_topology(spec, gpus), {*spec.routing, spec.spread}, gigabytes_per_second(outwards), {}};
}

}  // namespace

TEST_CASE("parts keep their GPUs in order, and what joins them carries what each may send outwards") {
  const JoinedTopology joined =
      join_parts({part(NetworkFamily::rail_optimised, 4, 100), part(NetworkFamily::fat_tree, 6, 70)});
  REQUIRE(joined.topology.gpus.size() == 10);
  CHECK(joined.topology.gpu(3).name == "group0.n1.gpu1");
  CHECK(joined.topology.gpu(4).name == "group1.n0.gpu0");
  CHECK(joined.topology.gpu(3).node == 1);
  CHECK(joined.topology.gpu(4).node == 2);
  CHECK(joined.topology.gpu(4).domain != joined.topology.gpu(3).domain);
  CHECK(joined.policy.routing == Routing::rails);
  CHECK(joined.topology.gpu(3).rail == 1);
  CHECK(joined.topology.gpu(4).rail == -1);  // its network routes by no rails

  Router router(joined.topology, joined.policy);
  const Route across = router.way(joined.topology.gpus[3], joined.topology.gpus[4], 0);
  ByteRate narrowest = gigabytes_per_second(1000);
  for (const Hop& hop : across.hops)
    narrowest = std::min(narrowest, joined.topology.link(hop.link).bandwidth / hop.share);
  CHECK(narrowest == gigabytes_per_second(50));  // the adapters
  bool passes = false;
  for (const Hop& hop : across.hops)
    passes |= joined.topology.vertex(joined.topology.link(hop.link).to).name == "between_groups";
  CHECK(passes);
  // No way inside a part leads over the gateways.
  for (const Hop& hop : router.way(joined.topology.gpus[4], joined.topology.gpus[9], 0).hops)
    CHECK(joined.topology.vertex(joined.topology.link(hop.link).to).name.find("groups") == std::string::npos);
}

TEST_CASE("a part without switches cannot be joined") {
  CHECK_THROWS_AS(join_parts({part(NetworkFamily::none, 2, 100), part(NetworkFamily::fat_tree, 4, 100)}), InputError);
}
