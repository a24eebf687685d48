// The whole way: scenario -> lowering -> prices -> replay -> result.
#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "sim/app/network_traffic.h"
#include "sim/app/pricing.h"
#include "sim/base/error.h"
#include "sim/config/scenario.h"
#include "sim/engine/repetition.h"
#include "sim/engine/replay.h"
#include "sim/metrics/breakdown.h"
#include "sim/metrics/result.h"
#include "strategies/lower.h"

namespace echelon {

enum class Detail {
  totals,    // what sweeps and validation need
  operators  // also the operator table
};

enum class SteadyState {
  once,   // replayed until it repeats itself (sim/engine/repetition.h); the result is the same
  whole,  // every micro-batch
};

enum class ReplayKind {
  folded,  // one representative rank for each pipeline stage
  full     // every rank on its own, with the scenario's variability and faults
};

struct ReplayChoice {
  ReplayKind kind = ReplayKind::folded;
  int threads = 1;                               // full: for several runs; any number gives the same result
  SteadyState steady_state = SteadyState::once;  // folded
};

// Predicts one iteration. Infeasible: the strategy cannot be laid on model and cluster (running out of memory is not
// infeasible here: Result::memory says so). Throws InternalError if our own task graph deadlocks.
// What the strategy leaves open is decided first (sim/app/automatic.h), and the result's warnings say how.
std::variant<Result, Infeasible> simulate(const Scenario& scenario, Detail detail = Detail::totals,
                                          const ReplayChoice& choice = {});

// One iteration as the engine ran it.
struct Replayed {
  Lowering lowering;
  WorkPrices prices;
  Timeline timeline;
  Repetition repetition;  // what of the timeline stands for more than once
  ReplayOptions options;
  std::shared_ptr<const NetworkReplay> network;  // null: the analytic model
};

// What simulate() draws its result from. The strategy must leave nothing open (sim/app/automatic.h).
std::variant<Replayed, Infeasible> replay_iteration(const Scenario& scenario,
                                                    SteadyState steady_state = SteadyState::once);

// The timeline of a lowered graph in folded replay. Throws InternalError where it deadlocks.
Timeline timeline_of(const Lowering& lowering, const std::vector<WorkTime>& times, const ReplayOptions& options);

// Whether every micro-batch must be replayed: ranks on their own, shared links and copies beside compute are not known
// to repeat themselves.
bool replays_all(const Scenario& scenario, const ReplayChoice& choice);

// Fills energy and cost from the iteration's time.
void add_money_and_energy(const Scenario& scenario, Result& result);

// Fills the sentence on the bottleneck and the warnings from the rest of the result.
void add_words(const Scenario& scenario, Result& result);

}  // namespace echelon
