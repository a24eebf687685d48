// A topology drawn link by link: the `graph:` mapping of a `topology:` section <-> Topology.
#pragma once

#include <string>

#include "sim/config/document.h"
#include "sim/hardware/topology.h"

namespace echelon {

// Throws InputError for what is no such mapping: names twice or unknown ("did you mean"), links from a vertex to
// itself, no GPU, GPUs that no way joins.
Topology drawn_topology_from_yaml(const Value& value);

// "graph:" and its body, every line indented by `indent` spaces.
std::string drawn_topology_to_yaml(const Topology& topology, int indent);

// JSON Schema of the mapping, in JSON text.
std::string drawn_topology_type();

}  // namespace echelon
