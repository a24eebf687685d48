// The mappings of a scenario that tell its ranks apart. Private to the config room.
//
//   variability: {compute_cv: 0.03, link_cv: 0.1, shape: lognormal, seed: 1, runs: 100}
//   faults:
//     - {rank: 5, compute_factor: 1.2, link_factor: 4, from_s: 0.5}
//     - {part: leaf0, from_s: 0.5}
//     - {link: [n1.nic0, leaf0]}
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/config/key_table.h"
#include "sim/hardware/network_model.h"
#include "sim/hardware/shared_fabric.h"
#include "sim/hardware/variation.h"

namespace echelon {

const std::vector<Key<Variability>>& variability_keys();
// Throws InputError, also where nothing varies, and where cutting a shape off at 0 would raise its mean.
Variability variability_from_yaml(const Value& value);

// JSON Schema text of the list.
std::string faults_type();
struct Faults {
  std::vector<RankFault> ranks;
  std::vector<LinkFault> links;
};

// Throws InputError, also where a rank is not among the cluster's `gpus`, or a link is down in a network model that
// knows no links.
Faults faults_from_yaml(const Value& value, std::int64_t gpus, NetworkModel network);

}  // namespace echelon
