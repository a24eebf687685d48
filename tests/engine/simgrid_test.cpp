// The flow engine against SimGrid's (H. Casanova, A. Giersch, A. Legrand, M. Quinson, F. Suter, J. Parallel and
// Distributed Computing 74, 2014) with its TCP corrections off: pure max-min sharing. SimGrid weighs flows by their
// latency, so all flows of a set have the same one.
#include <simgrid/s4u.hpp>
#include <string>
#include <vector>

#include "sim/hardware/placement.h"
#include "sim/hardware/route.h"
#include "tests/catch.h"
#include "tests/engine/random_flows.h"
#include "tests/hardware/clusters.h"

namespace echelon {

namespace {

namespace s4u = simgrid::s4u;

constexpr double most_latency_us = 50;

// Sets of flows with no shares below one, which SimGrid's routes do not have.
FlowSet anywhere(std::uint64_t seed) {
  RandomNumbers random(seed);
  return random_flow_set({random.integer(3, 40), random.integer(2, 60), random.integer(1, 8), true, false}, seed);
}

FlowSet on_cluster(std::uint64_t seed) {
  RandomNumbers random(seed);
  const auto& nodes = node_families();
  const auto& networks = network_families();
  TopologySpec spec = cluster_spec(
      nodes[static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(nodes.size()) - 1))].family,
      networks[static_cast<std::size_t>(random.integer(1, static_cast<std::int64_t>(networks.size()) - 1))].family);
  spec.network.switch_ports = spec.network.family == NetworkFamily::dragonfly ? 16 : random.integer(4, 16);
  spec.network.oversubscription = {static_cast<double>(random.integer(1, 4))};
  const Topology topology = cluster(spec, 8 * random.integer(2, 8));
  Router router(topology, {Routing::shortest, Spread::hash});
  FlowSet set;
  set.capacities = link_capacities(topology);
  const auto gpu = [&] {
    return topology
        .gpus[static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(topology.gpus.size()) - 1))];
  };
  for (std::int64_t f = random.integer(2, 60); f > 0; --f) {
    Flow flow;
    flow.start = Time::from_picoseconds(random.integer(0, 1000) * 1'000'000);
    flow.bytes = Bytes(static_cast<double>(random.integer(1'000'000, 1'000'000'000)));
    const VertexId from = gpu();
    for (VertexId to = gpu(); flow.route.empty(); to = gpu()) flow.route = router.route(from, to, seed + f)->hops;
    if (f % 3 == 0) flow.cap = gigabytes_per_second(1 + 100 * random.fraction());
    set.flows.push_back(std::move(flow));
  }
  return set;
}

// Adds a set to the one simulation: links, two hosts a flow, and an actor that sends and notes the time.
void add_to_simulation(s4u::NetZone& zone, const FlowSet& set, const std::string& prefix, std::vector<double>& ends) {
  std::vector<const s4u::Link*> links;
  for (std::size_t l = 0; l < set.capacities.size(); ++l)
    links.push_back(zone.create_link(prefix + "l" + std::to_string(l), set.capacities[l].value())->seal());
  ends.assign(set.flows.size(), -1);
  for (std::size_t f = 0; f < set.flows.size(); ++f) {
    const Flow& flow = set.flows[f];
    const std::string name = prefix + "f" + std::to_string(f);
    s4u::Host* from = zone.create_host(name + "a", 1)->seal();
    s4u::Host* to = zone.create_host(name + "b", 1)->seal();
    // A link of its own holds the flow's latency and its cap.
    const double cap = flow.cap > ByteRate(0) ? flow.cap.value() : 1e18;
    const s4u::Link* own = zone.create_link(name, cap)->set_latency(flow.latency.seconds().value())->seal();
    std::vector<s4u::LinkInRoute> route{s4u::LinkInRoute(own)};
    for (const Hop& hop : flow.route) route.emplace_back(links[static_cast<std::size_t>(hop.link)]);
    zone.add_route(from->get_netpoint(), to->get_netpoint(), nullptr, nullptr, route, false);
    s4u::Actor::create(name, from, [from, to, flow, &end = ends[f]] {
      s4u::this_actor::sleep_until(flow.start.seconds().value());
      s4u::CommPtr message = s4u::Comm::sendto_init(from, to);
      message->set_payload_size(static_cast<std::uint64_t>(flow.bytes.value()));
      message->wait();
      end = s4u::Engine::get_clock();
    });
  }
}

}  // namespace

TEST_CASE("200 random flow sets end as in SimGrid") {
  std::vector<std::string> words{"test_simgrid", "--log=root.thres:error"};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  int count = static_cast<int>(words.size());
  s4u::Engine engine(&count, arguments.data());
  for (const char* setting :
       {"network/model:CM02", "network/TCP-gamma:0", "network/bandwidth-factor:1", "network/latency-factor:1",
        "network/weight-S:0", "network/crosstraffic:0", "contexts/stack-size:64"})
    s4u::Engine::set_config(setting);
  s4u::NetZone* zone = s4u::create_full_zone("all");

  // SimGrid allows one simulation in a process: all sets are in it, and meet nowhere.
  constexpr std::size_t sets = 200;
  std::vector<FlowSet> inputs;
  std::vector<std::vector<double>> ends(sets);
  for (std::size_t seed = 0; seed < sets; ++seed) {
    FlowSet set = seed % 2 == 0 ? anywhere(seed) : on_cluster(seed);
    RandomNumbers random(seed + 1000);
    const Seconds latency = microseconds(seed % 4 < 2 ? 0 : most_latency_us * random.fraction());
    for (Flow& flow : set.flows) flow.latency = Time::from_seconds(latency);
    add_to_simulation(*zone, set, "s" + std::to_string(seed) + ".", ends[seed]);
    inputs.push_back(std::move(set));
  }
  zone->seal();
  engine.run();

  double worst = 0;
  for (std::size_t seed = 0; seed < sets; ++seed) {
    const auto ours = completion_times(inputs[seed].capacities, inputs[seed].flows);
    for (std::size_t f = 0; f < ours.size(); ++f) {
      CAPTURE(seed, f);
      // The span of the flow, so that a late start hides no difference.
      const double start = inputs[seed].flows[f].start.seconds().value();
      const double ratio = (ours[f].seconds().value() - start) / (ends[seed][f] - start);
      worst = std::max(worst, std::abs(ratio - 1));
      CHECK(ratio == Approx(1).epsilon(0.01));
    }
  }
  WARN("largest difference of a flow's duration: " << 100 * worst << " %");
}

}  // namespace echelon
