// What a user should know of a result beside its numbers.
#pragma once

#include <string>
#include <vector>

#include "sim/config/scenario.h"
#include "sim/metrics/result.h"

namespace echelon {

// A sentence each: what does not fit, what is left out or not known, keys that change nothing, what would help.
std::vector<std::string> warnings_of(const Scenario& scenario, const Result& result);

}  // namespace echelon
