#include "strategies/pipeline/schedule.h"

namespace echelon {

namespace {

// The hand-crafted schedules: rank i runs F(x), I(x - k(p-1-i)), W(x - k(p-1)) for x = 0, 1, ...; indices outside
// the micro-batches are skipped. k = 1 keeps 1F1B's memory, k = 2 fills the bubble with twice the warm-up.
RankOrder hand_crafted(const ScheduleShape& shape, std::int64_t rank, std::int64_t k) {
  RankOrder order;
  const auto place = [&](Pass pass, std::int64_t micro_batch) {
    if (micro_batch >= 0 && micro_batch < shape.micro_batches)
      order.push_back({pass, 0, static_cast<std::int32_t>(micro_batch)});
  };
  for (std::int64_t x = 0; x < shape.micro_batches + k * (shape.ranks - 1); ++x) {
    place(Pass::forward, x);
    place(Pass::input_gradient, x - k * (shape.ranks - 1 - rank));
    place(Pass::weight_gradient, x - k * (shape.ranks - 1));
  }
  return order;
}

}  // namespace

RankOrder zero_bubble_h1_order(const ScheduleShape& shape, std::int64_t rank) {
  return hand_crafted(shape, rank, 1);
}
RankOrder zero_bubble_h2_order(const ScheduleShape& shape, std::int64_t rank) {
  return hand_crafted(shape, rank, 2);
}

}  // namespace echelon
