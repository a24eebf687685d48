// What an iteration takes at least under any schedule that runs every pass of every micro-batch once, at the price of a
// replay of three micro-batches at most and of no schedule's order.
//
// In the probe micro-batches go through the pipeline one at a time: 0, 1 and 2 stand for the first, those between and
// the last. Let c(r, j) be what micro-batch j puts on the compute stream of rank r, whose tasks run one after another.
// Then m micro-batches take at least, for every rank r,
//   lead(r) + c(r, 0) + (m - 2) c(r, 1) + c(r, 2) + tail(r)
// which is lead(r) + m c(r, 0) + tail(r) of one alone where only passes and messages recur: what is gathered before the
// first and reduced after the last counts once. There lead is the time until the first pass's input can be there, which
// every schedule waits for, and tail what waits for the last pass. The last backward pass of a rank in a loop or a wave
// is of its first chunk, whichever the schedule, since that of any other chunk is followed by one of it; the rest of
// the pipeline waits for it. Where weight gradients are passes of their own, these close the rank, and the sum of the
// others has the longer tail. Of pipelines from both ends
// the one counts whose end is nearest, without messages; those that never empty have neither lead nor tail. The rank's
// host needs the launches of all its tasks, and without stages its data stream all that it sends.
//
// Memory is that of one micro-batch, or as many as the schedules of bound.h have begun when the first backward pass
// runs, and nothing is known of it where activations or states wait on the host.
// With the network model `flow` passes count without what they send, and nothing else does.
#pragma once

#include <variant>

#include "sim/base/error.h"
#include "sim/config/scenario.h"
#include "sim/metrics/result.h"

namespace echelon {

// Whether quick_bound() knows anything of the strategy: not of divided vocabularies, sliced sequences, listed layers,
// schedules from a file, searched ones (which lay stages as they like) and recompute that the simulator chooses.
bool has_quick_bound(const Strategy& strategy);

// A Result as bound()'s (sim/app/bound.h): iteration, energy, cost and memory are at most simulate()'s, and where
// memory does not fit, neither does simulate()'s. The strategy has a quick bound.
std::variant<Result, Infeasible> quick_bound(const Scenario& scenario);

}  // namespace echelon
