// List scheduling: whenever a rank is free, it takes the best of what it could start.
#pragma once

#include <optional>

#include "strategies/pipeline/schedule.h"

namespace echelon {

// Of a forward and a backward that could both start.
enum class Preference { backward, forward, alternate };

// Under a memory limit a forward pass leaves room for those that must follow it on its rank.
enum class Admission {
  all_through,  // of all micro-batches that have entered: none then waits for memory
  one_through   // of one micro-batch, so that some always gets through
};

struct GreedyRules {
  bool splits_backward = true;
  Preference preference = Preference::backward;
  // Weight gradients run where nothing else is ready. With patience only where nothing else comes before they end.
  bool patient = false;
  double memory_limit = 0;  // chunk activations alive on a rank, from forward to weight gradient; 0 = none
  Admission admission = Admission::all_through;
};

// Passes of each chunk in order of micro-batches. Nothing where the limit is below one micro-batch's chunks.
std::optional<Schedule> greedy_schedule(const ScheduleShape& shape, StageLayout layout, const ScheduleCosts& costs,
                                        const GreedyRules& rules);

// What a rank does once no micro-batch enters any more.
enum class CoolDown {
  in_order,         // of its list
  gradients_first,  // what can start first, and weight gradients where it would wait; that may keep more activations
};

// Where a rank would wait, it takes a later forward pass that ends before what it waits for starts, if its activations
// never exceed `limit` or, where that is more, what its own list needed.
Schedule with_idle_filled(const Schedule& schedule, const ScheduleCosts& costs, double limit = 0,
                          CoolDown cool_down = CoolDown::in_order);

// Interleaves orders that are given for each rank and pipeline, each kept as it is: whichever can start first.
Schedule merged_schedule(const ScheduleShape& shape, StageLayout layout, const ScheduleCosts& costs,
                         const std::vector<std::vector<RankOrder>>& pipelines_by_rank);

}  // namespace echelon
