#include "strategies/pipeline/order.h"

namespace echelon {

// All forwards, then all backwards (arXiv:1811.06965, in PyTorch's order of micro-batches).
Schedule gpipe(const ScheduleShape& shape, const ScheduleCosts& /*costs*/) {
  return by_rank(shape, StageLayout::loop, [&](std::int64_t /*rank*/) {
    OrderWriter order(shape.micro_batches);
    for (std::int64_t j = 0; j < shape.micro_batches; ++j) order.forward(0);
    for (std::int64_t j = 0; j < shape.micro_batches; ++j) order.backward(0);
    return order.finish();
  });
}

}  // namespace echelon
