#include "strategies/pipeline/order.h"

namespace echelon {

// Warm-up forwards until the first backward can arrive, then one forward and one backward in turn (PipeDream-Flush,
// arXiv:2006.09503; DAPPLE, arXiv:2007.01045).
Schedule one_f_one_b(const ScheduleShape& shape, const ScheduleCosts& /*costs*/) {
  return by_rank(shape, StageLayout::loop, [&](std::int64_t rank) {
    return alternating_order(shape.micro_batches, shape.ranks - 1 - rank + shape.delay, [](std::int64_t k, Pass pass) {
      return Action{pass, 0, static_cast<std::int32_t>(k)};
    });
  });
}

}  // namespace echelon
