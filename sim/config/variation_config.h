// The mappings of a scenario that tell its ranks apart. Private to the config room.
//
//   variability: {compute_cv: 0.03, link_cv: 0.1, shape: lognormal, seed: 1, runs: 100}
//   faults:
//     - {rank: 5, compute_factor: 1.2, link_factor: 4, from_s: 0.5}
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/config/key_table.h"
#include "sim/hardware/variation.h"

namespace echelon {

const std::vector<Key<Variability>>& variability_keys();

// JSON Schema text of the list.
std::string faults_type();
// Throws InputError, also where a rank is not among the cluster's `gpus`.
std::vector<RankFault> faults_from_yaml(const Value& value, std::int64_t gpus);

}  // namespace echelon
