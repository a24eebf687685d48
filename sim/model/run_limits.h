// What a whole run may take at most, as its owner says it. 0 = no limit.
#pragma once

#include <cstdint>

#include "sim/base/units.h"

namespace echelon {

struct RunLimits {
  double tokens = 0;          // of the run; 0 = those of the scenario's training_run
  Seconds deadline;           // from the first iteration to the last, failures included
  double budget_usd = 0;      // rent, or the share of bought hardware and its electricity
  std::int64_t max_gpus = 0;  // of the cluster
};

}  // namespace echelon
