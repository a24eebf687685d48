// The `search` mapping of a scenario: what a run may take at most.
//
//   search:
//     constraints: {tokens: 1e12, deadline_days: 30, budget_usd: 2e6, max_gpus: 1024}
//
// A search rules out the points that break one, a comparison says which of its scenarios do.
#pragma once

#include <vector>

#include "sim/config/key_table.h"
#include "sim/model/run_limits.h"

namespace echelon {

const std::vector<Key<RunLimits>>& search_keys();

// Of a scenario document; no limits where it gives none. Throws InputError, also for a deadline or a budget of a run
// whose tokens neither `constraints` nor `training_run` gives.
RunLimits run_limits_in(const Value& document);

}  // namespace echelon
