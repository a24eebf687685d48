// The `cluster` mapping of a scenario. Private to the config room.
//
//   cluster: {profile: dgx-h100, nodes: 16}
//   cluster:                                            # unlike machines, whose ranks follow each other
//     groups: [{profile: dgx-a100-80g, nodes: 4}, {profile: dgx-h100, nodes: 4}]
//     link: {node_gb_s: 100, latency_us: 10}            # between the groups; absent: as the slower end's adapters
#pragma once

#include "sim/config/scenario_keys.h"

namespace echelon {

// Fills the scenario's machines, their numbers and what is said of their network. Throws InputError.
void read_cluster(const Value& value, ScenarioReading& reading);

}  // namespace echelon
