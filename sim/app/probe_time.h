// What a replayed probe says of an iteration's time, at least (sim/app/quick_bound.h has the reason).
#pragma once

#include "sim/app/probe.h"
#include "sim/base/units.h"

namespace echelon {

Seconds least_time(const Replayed& replayed, const ProbeShape& shape);

// The same without what layers send.
Seconds least_computing(const Replayed& replayed, const ProbeShape& shape);

}  // namespace echelon
