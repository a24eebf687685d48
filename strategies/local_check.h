// What data-parallel groups that train apart and meet every so many steps demand (LocalSteps).
#pragma once

#include "sim/model/model.h"
#include "strategies/refusal.h"
#include "strategies/strategy.h"

namespace echelon {

Refusal check_local_steps(const Model& model, const Strategy& strategy);

}  // namespace echelon
