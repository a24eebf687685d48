// What the host spends on launching kernels, by framework.
#pragma once

#include "sim/config/scenario.h"
#include "sim/cost/work_cost.h"

namespace echelon {

HostCost host_cost(const Scenario& scenario);

// Where tensor-parallel collectives hold their hosts up beyond their launch: PyTorch checks them, and the job spans
// nodes.
bool collectives_hold_up_hosts(const Scenario& scenario);

}  // namespace echelon
