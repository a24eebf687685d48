// What an iteration takes at least, from a replay of few of its micro-batches.
//
// Of m micro-batches only k <= m are replayed, enough for the schedule to get going. Let p(r) be the device time of
// rank r's passes in that replay. Then all m take at least, for every rank r,
//   lead(r) + p(r) m / k + between(r) + tail(r)
// with lead the time until the rank's first pass starts, `between` its other compute tasks before its last pass, and
// tail the longest chain of tasks that wait for that pass; and at least its host's time, p_host(r) m / k.
// That holds where the schedule begins and ends alike for k and m micro-batches and keeps no fewer activations for more
// of them: GPipe, 1F1B, interleaved 1F1B, looped breadth-first. Property tests hold it against simulate().
#pragma once

#include <optional>
#include <variant>

#include "sim/base/error.h"
#include "sim/config/scenario.h"
#include "sim/metrics/result.h"

namespace echelon {

// Whether bound() knows anything of the scenario: with shared links, what is sent may take less than its price.
bool has_bound(const Scenario& scenario);

// A Result whose iteration, energy, cost and memory are at most simulate()'s; where its memory does not fit, neither
// does simulate()'s. The other fields are not filled. Infeasible as simulate() would say. The scenario has a bound.
std::variant<Result, Infeasible> bound(const Scenario& scenario);

}  // namespace echelon
