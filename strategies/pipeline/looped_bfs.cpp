#include "strategies/pipeline/order.h"
#include "strategies/pipeline/schedule.h"

namespace echelon {

// Breadth first: all micro-batches through one chunk before the next, so that a stage's weights are gathered once a
// pass (arXiv:2211.05953; backwards in PyTorch's order of micro-batches).
Schedule looped_bfs(const ScheduleShape& shape, const ScheduleCosts& /*costs*/) {
  const auto chunks = static_cast<std::int32_t>(shape.chunks);
  const auto micro_batches = static_cast<std::int32_t>(shape.micro_batches);
  return by_rank(shape, StageLayout::loop, [&](std::int64_t /*rank*/) {
    RankOrder order;
    for (std::int32_t chunk = 0; chunk < chunks; ++chunk)
      for (std::int32_t j = 0; j < micro_batches; ++j) order.push_back({Pass::forward, chunk, j});
    for (std::int32_t chunk = chunks; chunk-- > 0;)
      for (std::int32_t j = micro_batches; j-- > 0;) order.push_back({Pass::backward, chunk, j});
    return order;
  });
}

}  // namespace echelon
