#include "strategies/pipeline/schedule.h"

namespace echelon {

// All forwards, then all backwards.
RankOrder gpipe_order(const ScheduleShape& shape, std::int64_t /*rank*/) {
  RankOrder order;
  const auto micro_batches = static_cast<std::int32_t>(shape.micro_batches);
  for (std::int32_t j = 0; j < micro_batches; ++j) order.push_back({Pass::forward, 0, j});
  for (std::int32_t j = 0; j < micro_batches; ++j) order.push_back({Pass::backward, 0, j});
  return order;
}

}  // namespace echelon
