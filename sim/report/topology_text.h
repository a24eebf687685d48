// A cluster's topology for the terminal, as JSON and for Graphviz.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "sim/hardware/route.h"
#include "sim/hardware/topology.h"

namespace echelon {

// How many of what there is, links by kind, some ways with their bandwidth and latency, and the rate of every GPU when
// each sends to the one half the cluster away.
std::string topology_text(const Topology& topology, RoutePolicy policy);

// {"name", "vertices": [{"name", "kind", "node"}], "links": [{"between": [name, name], "bandwidth_b_s", "latency_s"}]}
nlohmann::ordered_json topology_json(const Topology& topology);

// An undirected Graphviz graph, nodes of the cluster as boxes.
std::string topology_dot(const Topology& topology);

}  // namespace echelon
