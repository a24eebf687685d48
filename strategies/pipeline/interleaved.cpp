#include <algorithm>
#include <deque>

#include "strategies/pipeline/order.h"

namespace echelon {

namespace {

std::int64_t group_of(const ScheduleShape& shape) {
  return shape.group > 0 ? shape.group : shape.ranks;
}

// The k-th slot of one direction: groups of micro-batches walk through the chunks one after another, the last group
// with those that are left.
Action slot(const ScheduleShape& shape, std::int64_t k, Pass pass) {
  const std::int64_t whole = group_of(shape);
  const std::int64_t before = k / (whole * shape.chunks) * whole;  // micro-batches of earlier groups
  const std::int64_t group = std::min(whole, shape.micro_batches - before);
  const std::int64_t inside = k - before * shape.chunks;
  std::int64_t chunk = inside / group;
  if (pass != Pass::forward) chunk = shape.chunks - 1 - chunk;
  const std::int64_t micro_batch = before + inside % group;
  return {pass, static_cast<std::int32_t>(chunk), static_cast<std::int32_t>(micro_batch)};
}

// All slots of one direction, which the ranks share.
std::vector<Action> slots(const ScheduleShape& shape, Pass pass) {
  std::vector<Action> all;
  for (std::int64_t k = 0; k < shape.micro_batches * shape.chunks; ++k) all.push_back(slot(shape, k, pass));
  return all;
}

}  // namespace

// arXiv:2104.04473, section 2.2; Megatron-LM's schedules.py for the warm-up and the group. One chunk is 1F1B.
Schedule interleaved(const ScheduleShape& shape, const ScheduleCosts& /*costs*/) {
  const std::vector<Action> forwards = slots(shape, Pass::forward);
  const std::vector<Action> backwards = slots(shape, Pass::backward);
  return by_rank(shape, StageLayout::loop, [&](std::int64_t rank) {
    const std::int64_t behind = shape.ranks - 1 - rank;
    const std::int64_t warm_up = (shape.chunks - 1) * group_of(shape) + (shape.chunks > 1 ? 2 : 1) * behind;
    return alternating_order(shape.micro_batches * shape.chunks, warm_up, [&](std::int64_t k, Pass pass) {
      return (pass == Pass::forward ? forwards : backwards)[static_cast<std::size_t>(k)];
    });
  });
}

// The same with half the warm-up between ranks and the backward pass in two: a rank r steps from the first puts each
// weight gradient r backward passes after its input gradient (PyTorch's ScheduleInterleavedZeroBubble).
Schedule interleaved_zero_bubble(const ScheduleShape& shape, const ScheduleCosts& /*costs*/) {
  return by_rank(shape, StageLayout::loop, [&](std::int64_t rank) {
    RankOrder order;
    std::deque<Action> waiting;
    std::int64_t backwards = 0;
    const std::int64_t slots = shape.micro_batches * shape.chunks;
    const std::int64_t warm_up = std::min(slots, (shape.chunks - 1) * group_of(shape) + (shape.ranks - 1 - rank));
    const auto weigh = [&] {
      order.push_back(waiting.front());
      order.back().pass = Pass::weight_gradient;
      waiting.pop_front();
    };
    const auto step_back = [&](std::int64_t k) {
      order.push_back(slot(shape, k, Pass::input_gradient));
      waiting.push_back(order.back());
      if (++backwards > rank) weigh();
    };
    for (std::int64_t k = 0; k < warm_up; ++k) order.push_back(slot(shape, k, Pass::forward));
    for (std::int64_t k = warm_up; k < slots; ++k) {
      order.push_back(slot(shape, k, Pass::forward));
      step_back(k - warm_up);
    }
    for (std::int64_t k = slots - warm_up; k < slots; ++k) step_back(k);
    while (!waiting.empty()) weigh();
    return order;
  });
}

}  // namespace echelon
