#include <algorithm>

#include "strategies/pipeline/order.h"

namespace echelon {

// Two chunks a rank in a V, so that the first rank holds the model's first and last layers (arXiv:2401.10241, section
// 6; PyTorch's ScheduleZBVZeroBubble). Written for at least 2p - 1 micro-batches; those past the last are left out.
Schedule zero_bubble_v(const ScheduleShape& shape, const ScheduleCosts& /*costs*/) {
  const std::int64_t ranks = shape.ranks;
  const std::int64_t planned = std::max(2 * ranks - 1, shape.micro_batches);
  return by_rank(shape, StageLayout::wave, [&](std::int64_t rank) {
    OrderWriter order(planned);
    for (std::int64_t i = 0; i < 2 * ranks - 2 * rank - 1; ++i) order.forward(0);
    for (std::int64_t i = 0; i < rank; ++i) {
      order.forward(1);
      order.forward(0);
    }
    for (std::int64_t i = 0; i < ranks - rank; ++i) {
      order.forward(1);
      order.input(1);
      order.weight_of(1);
    }
    while (order.has_forward(1)) {
      if (order.has_forward(0)) order.forward(0);
      order.input(0);
      order.weight_of(0);
      order.forward(1);
      order.input(1);
      order.weight_of(1);
    }
    for (std::int64_t i = 0; i < rank; ++i) {
      order.input(0);
      order.input(1);
    }
    for (std::int64_t i = 0; i < ranks - rank; ++i) {
      order.input(0);
      order.weight_of(0);
    }
    for (const std::int32_t chunk : {1, 0})
      for (std::int64_t i = 0; i < planned; ++i) order.weight_of(chunk);
    RankOrder all = order.finish();
    std::erase_if(all, [&](const Action& action) { return action.micro_batch >= shape.micro_batches; });
    return all;
  });
}

}  // namespace echelon
