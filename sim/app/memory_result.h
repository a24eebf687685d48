// Peak memory of each pipeline rank: the ledger's peak and what frameworks add to it.
#pragma once

#include "sim/config/scenario.h"
#include "sim/engine/replay.h"
#include "sim/metrics/result.h"
#include "strategies/lower.h"

namespace echelon {

MemoryResult memory_result(const Scenario& scenario, const Lowering& lowering, const Timeline& timeline);

}  // namespace echelon
