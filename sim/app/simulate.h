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

enum class ReplayKind {
  folded,  // one representative rank for each pipeline stage
  full     // every rank on its own, with the scenario's variability and faults
};

struct ReplayChoice {
  ReplayKind kind = ReplayKind::folded;
  int threads = 1;  // full: for several runs; any number gives the same result
};

// Predicts one iteration. Infeasible: the strategy cannot be laid on model and cluster (running out of memory is not
// infeasible here: Result::memory says so). Throws InternalError if our own task graph deadlocks.
// What the strategy leaves open is decided first (sim/app/automatic.h), and the result's warnings say how.
std::variant<Result, Infeasible> simulate(const Scenario& scenario, Detail detail = Detail::totals,
                                          const ReplayChoice& choice = {});

// Time of one layer of each block, forward and backward, by block of the model.
std::variant<std::vector<Seconds>, Infeasible> block_times(const Scenario& scenario);

}  // namespace echelon
