#include <algorithm>

#include "strategies/pipeline/order.h"

namespace echelon {

namespace {

// DeepSeek-V3's schedule (arXiv:2412.19437, section 3.2.1; deepseek-ai/DualPipe) as one rank runs it: `near` is the
// chunk whose first stage is nearer, `far` the other; `before` ranks lie before this one on the way from the nearer
// end, `after` behind it up to the middle of the pipeline (DualPipe) or its end (DualPipeV).
struct DualPipeRank {
  std::int64_t before = 0;
  std::int64_t after = 0;
  std::int64_t micro_batches = 0;  // of each chunk
  std::int32_t near = 0;
  std::int32_t far = 1;
};

void overlap(OrderWriter& order, std::int32_t forward, std::int32_t backward, bool together = true) {
  order.forward(forward);
  if (together) order.pair_last_with_next();
  order.backward(backward);
}

// From the middle of the cool-down on, weight gradients wait.
void cool_down(OrderWriter& order, const DualPipeRank& rank) {
  bool splits = false;
  const auto step_back = [&](std::int32_t chunk) { splits ? order.input(chunk) : order.backward(chunk); };
  for (std::int64_t i = 0; i <= rank.before; ++i) {
    const bool turns = i == (rank.before + 1) / 2;
    if (turns && rank.before % 2 == 1) splits = true;
    step_back(rank.far);
    if (turns && rank.before % 2 == 0) splits = true;
    step_back(rank.near);
  }
}

RankOrder dual_pipe_order(const DualPipeRank& rank) {
  OrderWriter order(rank.micro_batches);
  for (std::int64_t i = 0; i < 2 * rank.after; ++i) order.forward(rank.near);
  for (std::int64_t i = 0; i <= rank.before; ++i) {
    order.forward(rank.near);
    order.forward(rank.far);
  }
  for (std::int64_t i = 0; i < rank.after; ++i) {
    order.input(rank.far);
    order.weight();
    order.forward(rank.far);
  }
  const std::int64_t steady = rank.micro_batches - 2 * (rank.after + rank.before + 1) + rank.before + 1;
  for (std::int64_t i = 0; i < steady; ++i) {
    overlap(order, rank.near, rank.far, i > 0 || rank.after > 0);
    overlap(order, rank.far, rank.near);
  }
  for (std::int64_t i = 0; i < rank.after; ++i) {
    order.backward(rank.far);
    overlap(order, rank.far, rank.near);
  }
  cool_down(order, rank);
  for (std::int64_t i = 0; i < rank.after; ++i) {
    order.weight();
    order.input(rank.near);
  }
  while (order.has_pending()) order.weight();
  return order.finish();
}

}  // namespace

// Two copies of the model, one from each end.
Schedule dual_pipe(const ScheduleShape& shape, const ScheduleCosts& /*costs*/) {
  return by_rank(shape, StageLayout::bidirectional, [&](std::int64_t rank) {
    const bool upper = rank >= shape.ranks / 2;
    const std::int64_t before = std::min(rank, shape.ranks - 1 - rank);
    return dual_pipe_order(
        {before, shape.ranks / 2 - before - 1, shape.micro_batches / 2, upper ? 1 : 0, upper ? 0 : 1});
  });
}

// One copy, cut in half: a V of two chunks.
Schedule dual_pipe_v(const ScheduleShape& shape, const ScheduleCosts& /*costs*/) {
  return by_rank(shape, StageLayout::wave, [&](std::int64_t rank) {
    return dual_pipe_order({rank, shape.ranks - rank - 1, shape.micro_batches, 0, 1});
  });
}

}  // namespace echelon
