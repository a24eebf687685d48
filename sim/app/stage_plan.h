// What the stages of a pipeline take at their best, by dynamic programming over the layers: a cheap estimate of an
// iteration for searches.
//
// With t_1 .. t_p the forward and backward times of the stages for one micro-batch, m micro-batches take
//   m max t + (sum t - max t) / v
// on stages of v chunks: Alpa's and PipeDream's cost for v = 1 (arXiv:2201.12023, section 5; SOSP 2019, section 3.1),
// Narayanan et al.'s bubble for more (SC 2021, section 2.2). The least max t over all ways to cut L layers into p runs:
//   A(j, p) = min over i < j of max(A(i, p - 1), t of layers i + 1 .. j)
// A stage's time is that of its layers' kernels and of the collectives among them (simulate()'s prices). Left out:
// messages between stages, the gradients' reduction and the optimizer's step.
#pragma once

#include <variant>
#include <vector>

#include "sim/base/error.h"
#include "sim/config/scenario.h"

namespace echelon {

// Forward and backward time of every layer for one micro-batch, as on the first pipeline rank; the first has the
// embedding's too, the last the head's.
std::variant<std::vector<Seconds>, Infeasible> layer_times(const Scenario& scenario);

// A(L, p) for p = 1 .. as many as there are layers, `most` at most.
std::vector<Seconds> slowest_stages(const std::vector<Seconds>& layers, std::size_t most);

// The estimate, for the number of stages, chunks and micro-batches of the scenario; `layers` and `slowest` as above.
// Infinite where there are fewer layers than stages.
Seconds stage_estimate(const Scenario& scenario, const std::vector<Seconds>& layers,
                       const std::vector<Seconds>& slowest);

}  // namespace echelon
