// What the host spends on launching kernels, by framework.
#pragma once

#include "sim/cost/work_cost.h"
#include "strategies/strategy.h"

namespace echelon {

HostCost host_cost(const Strategy& strategy);

}  // namespace echelon
