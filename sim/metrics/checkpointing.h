// How often to write checkpoints when failures come at random, and what training loses to both.
//
// C: training stands still while a checkpoint is written. mu: mean time between failures, exponentially distributed.
// D: from a failure to the start of recovery. R: to load the checkpoint, during which it may fail again. T: the period,
// C included. The time that a period takes on average is (mu + D) e^(R/mu) (e^(T/mu) - 1), of which T - C is training
// (Daly, "A higher order estimate of the optimum checkpoint interval", FGCS 22(3), 2006, with D; Aupy et al.,
// arXiv:1207.6936).
#pragma once

#include <cstdint>

#include "sim/base/units.h"

namespace echelon {

struct FailureModel {
  Seconds mtbf;      // mu, of the whole job; 0 = nothing fails
  Seconds write;     // C
  Seconds down;      // D
  Seconds recovery;  // R
};

// Periods that are near the best: Young's sqrt(2 mu C) + C (CACM 17(9), 1974), Daly's first
// sqrt(2 (mu + D + R) C) + C, and the refined first-order optimum sqrt(2 (mu - D - R) C) of Aupy et al.
Seconds young_period(const FailureModel& model);
Seconds daly_period(const FailureModel& model);
Seconds first_order_period(const FailureModel& model);

// The best period of the exact model: T = C + mu (1 - e^(-T/mu)), which does not depend on D and R. 0 where C is 0.
Seconds best_period(const FailureModel& model);

// Share of the time in which more nodes are in repair than stand by: Erlang's loss formula with spares + 1 servers and
// `in_repair` = failures a second times the seconds of a repair. While the job waits nothing fails, so that the nodes
// in repair are such a system; how repair times are distributed does not matter (A. K. Erlang, 1917).
double waiting_share(double in_repair, std::int64_t spare_nodes);

// Share of the time that goes into training, from 0 to 1. A period must be longer than the write; with failures 0 is
// the limit of ever more checkpoints that cost nothing, mu / (mu + D) e^(-R/mu).
double training_share(const FailureModel& model, Seconds period);

}  // namespace echelon
