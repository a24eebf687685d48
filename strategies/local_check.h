// What data-parallel groups that train apart and meet every so many steps demand (LocalSteps).
#pragma once

#include "strategies/refusal.h"
#include "strategies/strategy.h"

namespace echelon {

Refusal check_local_steps(const Strategy& strategy);

}  // namespace echelon
