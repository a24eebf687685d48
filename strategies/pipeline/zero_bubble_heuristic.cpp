#include <algorithm>

#include "strategies/pipeline/greedy.h"
#include "strategies/pipeline/timing.h"

namespace echelon {

namespace {

// The heuristic of arXiv:2401.10241, section 3.1, plans by measured times under a limit of activations: several rules
// of thumb, and whichever gives the shortest span. Here: list scheduling by each of its rules, and the hand-crafted
// order that has room.
Schedule planned(const ScheduleShape& shape, const ScheduleCosts& costs, std::int64_t multiple) {
  Schedule best = multiple == 1 ? zero_bubble_h1(shape, costs) : zero_bubble_h2(shape, costs);
  double least = timing_of(best, costs).span;
  for (const Preference preference : {Preference::backward, Preference::forward, Preference::alternate})
    for (const bool patient : {false, true}) {
      GreedyRules rules;
      rules.preference = preference;
      rules.patient = patient;
      rules.memory_limit = static_cast<double>(multiple * shape.ranks);
      Schedule candidate = *greedy_schedule(shape, StageLayout::loop, costs, rules);
      const double span = timing_of(candidate, costs).span;
      if (span >= least) continue;
      least = span;
      best = std::move(candidate);
    }
  return best;
}

}  // namespace

// With 1F1B's activations on the first rank.
Schedule zero_bubble_1p(const ScheduleShape& shape, const ScheduleCosts& costs) {
  return planned(shape, costs, 1);
}

// With twice as many.
Schedule zero_bubble_2p(const ScheduleShape& shape, const ScheduleCosts& costs) {
  return planned(shape, costs, 2);
}

}  // namespace echelon
