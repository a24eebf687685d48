// Runs a schedule with plain times: each rank does its list in order.
//
//   start = max(rank is free, what it waits for is done + communication where that ran on another rank)
//   forward of a stage waits for the forward of the stage before; an input gradient (or whole backward) for that of the
//   stage behind and for the stage's own forward; a weight gradient for its input gradient
//   activations that a rank lends leave in a message that its next forward pass waits for, and are back a message after
//   the pass that calls them
//   where the vocabulary is divided, passes wait for events of all ranks too (vocabulary.h)
//   two actions that run together start once both can, take the sum of their times and end as one
//   makespan: first start to last end over all ranks; span: the longest of one rank's own first start to last end,
//   which is what the zero-bubble papers count (arXiv:2401.10241)
#pragma once

#include <variant>
#include <vector>

#include "strategies/pipeline/schedule.h"

namespace echelon {

struct ActionTime {
  double start = 0;
  double end = 0;
};

// How long an action on this stage takes; passes of the embedding take none.
double action_duration(const ScheduleCosts& costs, VocabularyParallel method, std::int64_t stage, const Action& action);

struct ScheduleTiming {
  std::vector<std::vector<ActionTime>> actions;  // by rank, in the order of its list
  std::vector<double> work;                      // by rank: sum of its times
  std::vector<double> peak;                      // by rank: most chunk activations alive at once
  double makespan = 0;
  double span = 0;
  double bubble_of_makespan() const;  // idle share, mean over the ranks
  double bubble_of_span() const;      // (span - work) / span of the busiest rank
};

// Ranks that wait for each other in a circle, each with the action that it cannot start.
struct BlockedAction {
  std::int64_t rank = 0;
  Action action;
  Action awaited;  // of the next rank in the circle; where its list lacks that, what it cannot start itself
};
struct ScheduleDeadlock {
  std::vector<BlockedAction> cycle;  // each waits for one that the next rank has still to do; the last for the first's
};

std::variant<ScheduleTiming, ScheduleDeadlock> time_schedule(const Schedule& schedule, const ScheduleCosts& costs);

// Of a schedule that cannot deadlock.
ScheduleTiming timing_of(const Schedule& schedule, const ScheduleCosts& costs);

}  // namespace echelon
