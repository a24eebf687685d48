// A round of steps of groups that train apart, as the result shows it.
#pragma once

#include <cstdint>

#include "sim/base/units.h"

namespace echelon {

struct LocalRound {
  std::int64_t groups = 1;
  std::int64_t steps = 1;  // from one synchronisation to the next, the one that synchronises included
  Seconds between;         // an iteration that does not synchronise
  Seconds closing;         // the one that does
};

}  // namespace echelon
