#include "strategies/pipeline/greedy.h"

namespace echelon {

// Waves: an even number of chunks that zigzag over the ranks (arXiv:2308.15762). The paper gives the placement and the
// principle, backward passes first; the order comes of list scheduling with 1F1B's activations on the first rank.
Schedule hanayo(const ScheduleShape& shape, const ScheduleCosts& costs) {
  GreedyRules rules;
  rules.splits_backward = false;
  rules.memory_limit = static_cast<double>(shape.ranks * shape.chunks);
  return *greedy_schedule(shape, StageLayout::wave, costs, rules);
}

}  // namespace echelon
