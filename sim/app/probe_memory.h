// What a replayed probe says of memory, at least (sim/app/quick_bound.h).
#pragma once

#include "sim/app/probe.h"
#include "sim/config/scenario.h"
#include "sim/metrics/result.h"

namespace echelon {

// Leaves of `replayed` what the first micro-batch does.
MemoryResult least_memory(const Scenario& scenario, const ProbeShape& shape, Replayed& replayed);

}  // namespace echelon
