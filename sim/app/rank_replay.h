// Full replay of a lowered scenario: its ranks with their faults and jitter, over many runs.
#pragma once

#include <vector>

#include "sim/app/network_traffic.h"
#include "sim/app/pricing.h"
#include "sim/config/scenario.h"
#include "sim/engine/replay.h"
#include "sim/metrics/rank_replay.h"
#include "strategies/lower.h"

namespace echelon {

// A lowered and priced scenario; `alike` the iteration of folded replay with `options`.
struct PricedLowering {
  const Lowering& lowering;
  const WorkPrices& prices;
  Time alike;
  const ReplayOptions& options;
  const NetworkReplay* network;  // whose traffic the options have; null: the analytic model
};

// The same for any number of threads (>= 1).
RankReplay replay_ranks(const Scenario& scenario, const PricedLowering& priced, int threads);

}  // namespace echelon
