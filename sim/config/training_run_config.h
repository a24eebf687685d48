// The `training_run` mapping of a scenario: a whole run of many iterations.
//
//   training_run:
//     tokens: 15.6e12
//     failures_per_1000_node_days: 3.8
//     storage_gb_s: 240
//     restart_s: 600
//     usd_per_gpu_hour: 2.5
#pragma once

#include <vector>

#include "sim/config/key_table.h"
#include "sim/model/training_run.h"

namespace echelon {

const std::vector<Key<TrainingRun>>& training_run_keys();

// Throws InputError, also for failures without what a checkpoint costs, and a price of GPUs without the years.
TrainingRun training_run_from_yaml(const Value& value);

}  // namespace echelon
