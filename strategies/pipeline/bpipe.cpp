#include <algorithm>

#include "strategies/pipeline/schedule.h"

namespace echelon {

// 1F1B whose early stages lend activations to the late ones, stage x to stage p - 1 - x, so that none holds more than
// ceil((p + 2) / 2) micro-batches (BPipe, Kim et al., ICML 2023, section 3). A lender keeps all but one of those beside
// the one that a pass runs on, which leaves before the next forward pass; what it lends returns as many backward passes
// before its own. Its partner then has p - x - (most - 1) of them beside x + 1 of its own: no more than `most` either.
Schedule bpipe(const ScheduleShape& shape, const ScheduleCosts& costs) {
  Schedule schedule = one_f_one_b(shape, costs);
  const std::int64_t most = (shape.ranks + 3) / 2;
  schedule.evictions.resize(schedule.ranks.size());
  for (std::int64_t rank = 0; rank < shape.ranks; ++rank) {
    if (std::min(shape.micro_batches, shape.ranks - rank) <= most) continue;
    for (std::int64_t j = most - 1; j < shape.micro_batches; ++j)
      schedule.evictions[static_cast<std::size_t>(rank)].push_back(
          {static_cast<std::int32_t>(j), static_cast<std::int32_t>(j - (most - 1))});
  }
  return schedule;
}

}  // namespace echelon
