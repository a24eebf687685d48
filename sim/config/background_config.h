// The `background:` section of a scenario: other jobs on the same network. Private to the config room.
//
//   background:
//     - {name: neighbour, collective: all_reduce, megabytes: 1024, every_ms: 50, nodes: [4, 5], ranks_per_node: 1,
//     seed: 7}
#pragma once

#include <string>
#include <vector>

#include "sim/config/key_table.h"
#include "sim/hardware/network_model.h"
#include "sim/hardware/shared_fabric.h"

namespace echelon {

// JSON Schema text of the list.
std::string background_type();
// Throws InputError, also in a network model that knows no links, and where ranks_per_node does not divide a node.
std::vector<BackgroundJob> background_from_yaml(const Value& value, NetworkModel network, std::int64_t gpus_per_node);

}  // namespace echelon
