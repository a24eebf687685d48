// The `topology:` section of a hardware profile <-> TopologySpec.
//
//   topology:
//     node: {family: nvswitch, ...}              every number that is absent comes from `network:`
//     network: {family: rail_optimised, switch_ports: 64, oversubscription: [1, 2], ...}
//     routing: rails
//     spread: even
//     source: text
// or, instead of families, a graph drawn link by link:
//     graph:
//       vertices: [{name: gpu0, kind: gpu, node: 0}, {name: leaf0, kind: network_switch}, ...]
//       links: [{between: [gpu0, leaf0], gb_s: 50, latency_us: 1}, ...]
#pragma once

#include <string>

#include "sim/config/document.h"
#include "sim/hardware/topology_spec.h"

namespace echelon {

// Throws InputError for unknown keys and names, numbers out of bounds, a graph whose GPUs cannot reach each other.
TopologySpec topology_from_yaml(const Value& value);

// The section's body, every line indented by `indent` spaces: what is not as by default. Empty for a default spec.
std::string topology_to_yaml(const TopologySpec& spec, int indent);

// JSON Schema of the section, in JSON text.
std::string topology_type();

}  // namespace echelon
