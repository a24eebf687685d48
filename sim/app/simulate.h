// The whole way: scenario -> lowering -> prices -> replay -> result.
#pragma once

#include <variant>

#include "sim/base/error.h"
#include "sim/config/scenario.h"
#include "sim/engine/replay.h"
#include "sim/metrics/result.h"

namespace echelon {

enum class Detail {
  totals,    // what sweeps and validation need
  operators  // also the operator table
};

// Predicts one iteration. Infeasible: the strategy cannot be laid on model and cluster (running out of memory is not
// infeasible here: Result::memory says so). Throws InternalError if our own task graph deadlocks.
std::variant<Result, Infeasible> simulate(const Scenario& scenario, Detail detail = Detail::totals);

}  // namespace echelon
