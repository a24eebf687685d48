#include <algorithm>

#include "strategies/pipeline/order.h"

namespace echelon {

// Warm-up forwards until the first backward can arrive, then one forward and one backward in turn (PipeDream-Flush,
// arXiv:2006.09503; DAPPLE, arXiv:2007.01045).
Schedule one_f_one_b(const ScheduleShape& shape, const ScheduleCosts& /*costs*/) {
  return by_rank(shape, StageLayout::loop, [&](std::int64_t rank) {
    OrderWriter order(shape.micro_batches);
    const std::int64_t warm_up = std::min(shape.micro_batches, shape.ranks - 1 - rank);
    for (std::int64_t j = 0; j < warm_up; ++j) order.forward(0);
    for (std::int64_t j = warm_up; j < shape.micro_batches; ++j) {
      order.forward(0);
      order.backward(0);
    }
    for (std::int64_t j = 0; j < warm_up; ++j) order.backward(0);
    return order.finish();
  });
}

}  // namespace echelon
