// Small clusters of each family with round numbers: GPU links of 400 GB/s, adapters of 50.
#pragma once

#include <string>

#include "sim/hardware/route.h"
#include "sim/hardware/topology_families.h"

namespace echelon {

inline Network round_network() {
  Network network;
  network.gpus_per_node = 8;
  network.ring_bus = gigabytes_per_second(350);
  network.pair_rate = gigabytes_per_second(400);
  network.pair_latency = microseconds(3);
  network.adapters = 8;
  network.adapter_rate = gigabytes_per_second(50);
  network.adapter_latency = microseconds(10);
  return network;
}

inline TopologySpec cluster_spec(NodeFamily node, NetworkFamily network) {
  TopologySpec spec;
  spec.node.family = node;
  spec.network.family = network;
  return spec;
}

inline Topology cluster(TopologySpec spec, std::int64_t gpus, const Network& network = round_network()) {
  return build_topology(with_defaults(std::move(spec), network), gpus);
}

// Names along a way without alternatives.
inline std::string way(const Topology& topology, const Route& route) {
  std::string text;
  for (const Hop& hop : route.hops) {
    if (text.empty()) text = topology.vertex(topology.link(hop.link).from).name;
    text += " " + topology.vertex(topology.link(hop.link).to).name;
  }
  return text;
}

}  // namespace echelon
