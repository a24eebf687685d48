#include <algorithm>

#include "strategies/pipeline/schedule.h"

namespace echelon {

// Warm-up forwards until the first backward can arrive, then one forward and one backward in turn.
RankOrder one_f_one_b_order(const ScheduleShape& shape, std::int64_t rank) {
  RankOrder order;
  const auto micro_batches = static_cast<std::int32_t>(shape.micro_batches);
  const auto warm_up = static_cast<std::int32_t>(std::min(shape.micro_batches, shape.ranks - 1 - rank));
  for (std::int32_t j = 0; j < warm_up; ++j) order.push_back({Pass::forward, 0, j});
  for (std::int32_t j = warm_up; j < micro_batches; ++j) {
    order.push_back({Pass::forward, 0, j});
    order.push_back({Pass::backward, 0, j - warm_up});
  }
  for (std::int32_t j = micro_batches - warm_up; j < micro_batches; ++j) order.push_back({Pass::backward, 0, j});
  return order;
}

}  // namespace echelon
