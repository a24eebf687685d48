// What the files of schedules share: writing one rank's order, and making a schedule of such orders.
#pragma once

#include <algorithm>
#include <array>
#include <deque>

#include "strategies/pipeline/schedule.h"

namespace echelon {

// Writes actions whose micro-batches count up by themselves, chunk by chunk and pass by pass. What lies past the last
// micro-batch is left out.
class OrderWriter {
 public:
  explicit OrderWriter(std::int64_t micro_batches) : micro_batches_(micro_batches) {}

  void forward(std::int32_t chunk) { write(Pass::forward, chunk, forwards_); }
  // Input and weight gradient in one.
  void backward(std::int32_t chunk) { write(Pass::backward, chunk, backwards_); }
  // The input gradient; its weight gradient waits for weight() or weight_of().
  void input(std::int32_t chunk) {
    if (write(Pass::input_gradient, chunk, backwards_)) pending_.push_back(order_.back());
  }
  // The weight gradient that has waited longest.
  void weight() {
    if (!pending_.empty()) take(pending_.begin());
  }
  // The same of one chunk.
  void weight_of(std::int32_t chunk) {
    for (auto waiting = pending_.begin(); waiting != pending_.end(); ++waiting)
      if (waiting->chunk == chunk) {
        take(waiting);
        return;
      }
  }
  // The last action and the next one run together.
  void pair_last_with_next() { order_.back().paired = true; }

  bool has_forward(std::int32_t chunk) const { return forwards_[slot(chunk)] < micro_batches_; }
  bool has_pending() const { return !pending_.empty(); }
  RankOrder finish() { return std::move(order_); }

 private:
  using Counters = std::array<std::int64_t, 2>;

  static std::size_t slot(std::int32_t chunk) { return static_cast<std::size_t>(chunk); }

  bool write(Pass pass, std::int32_t chunk, Counters& counters) {
    const std::int64_t next = counters[slot(chunk)]++;
    if (next >= micro_batches_) return false;
    order_.push_back({pass, chunk, static_cast<std::int32_t>(next)});
    return true;
  }

  void take(const std::deque<Action>::iterator& waiting) {
    order_.push_back({Pass::weight_gradient, waiting->chunk, waiting->micro_batch});
    pending_.erase(waiting);
  }

  std::int64_t micro_batches_ = 0;
  Counters forwards_{};  // of two chunks at most
  Counters backwards_{};
  std::deque<Action> pending_;
  RankOrder order_;
};

// 1F1B over slots: `warm_up` forwards, then one forward and one backward in turn, then the backwards that are left.
// `action(k, pass)` gives the k-th slot of its direction.
template <class SlotAction>
RankOrder alternating_order(std::int64_t slots, std::int64_t warm_up, const SlotAction& action) {
  RankOrder order;
  order.reserve(static_cast<std::size_t>(2 * slots));
  warm_up = std::min(slots, warm_up);
  for (std::int64_t k = 0; k < warm_up; ++k) order.push_back(action(k, Pass::forward));
  for (std::int64_t k = warm_up; k < slots; ++k) {
    order.push_back(action(k, Pass::forward));
    order.push_back(action(k - warm_up, Pass::backward));
  }
  for (std::int64_t k = slots - warm_up; k < slots; ++k) order.push_back(action(k, Pass::backward));
  return order;
}

// A schedule whose ranks' orders `order(rank)` gives.
template <class Order>
Schedule by_rank(const ScheduleShape& shape, StageLayout layout, const Order& order) {
  Schedule schedule{shape, layout, {}};
  for (std::int64_t rank = 0; rank < shape.ranks; ++rank) schedule.ranks.push_back(order(rank));
  return schedule;
}

}  // namespace echelon
