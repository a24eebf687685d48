// What the host spends on launching kernels, by framework.
#pragma once

#include "sim/config/scenario.h"
#include "sim/cost/work_cost.h"

namespace echelon {

HostCost host_cost(const Scenario& scenario);

}  // namespace echelon
