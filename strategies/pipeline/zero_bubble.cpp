#include "strategies/pipeline/order.h"

namespace echelon {

namespace {

// The hand-crafted schedules of arXiv:2401.10241, section 2: rank i runs F(x), I(x - k(p-1-i)), W(x - k(p-1)) for x =
// 0, 1, ...; indices outside the micro-batches are skipped. k = 1 keeps 1F1B's memory, k = 2 fills the bubble with
// twice the warm-up.
Schedule hand_crafted(const ScheduleShape& shape, std::int64_t k) {
  return by_rank(shape, StageLayout::loop, [&](std::int64_t rank) {
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
  });
}

}  // namespace

Schedule zero_bubble_h1(const ScheduleShape& shape, const ScheduleCosts& /*costs*/) {
  return hand_crafted(shape, 1);
}
Schedule zero_bubble_h2(const ScheduleShape& shape, const ScheduleCosts& /*costs*/) {
  return hand_crafted(shape, 2);
}

}  // namespace echelon
