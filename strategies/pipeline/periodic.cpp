#include "strategies/pipeline/periodic.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

namespace echelon {

namespace {

enum class Side { later, earlier };

// The passes of one rank in a period.
class RankPeriod {
 public:
  // `lengths` of all passes that are to be laid.
  RankPeriod(double period, std::vector<double> lengths)
      : period_(period), rounding_(period * 1e-9), to_come_(std::move(lengths)) {
    std::sort(to_come_.begin(), to_come_.end(), std::greater<>());
  }

  // Lays a pass where it starts at `wanted`, or as little later (earlier) as the period allows; when that is, or
  // nothing where it cannot be.
  std::optional<double> lay(double wanted, double length, Side side) {
    to_come_.erase(std::find(to_come_.begin(), to_come_.end(), length));
    if (length <= rounding_) return wanted;
    std::vector<double> starts = candidates(wanted, length, side);
    std::sort(starts.begin(), starts.end(),
              [&](double a, double b) { return std::abs(a - wanted) < std::abs(b - wanted); });
    for (const double start : starts) {
      laid_.push_back({inside(start), length});
      if (leaves_room()) return start;
      laid_.pop_back();
    }
    return std::nullopt;
  }

 private:
  struct Span {
    double begin = 0;
    double length = 0;
  };

  double inside(double time) const { return time - std::floor(time / period_) * period_; }

  // The nearest time on that side of `wanted` at which the period has come as far as `at`.
  double nearest(double wanted, double at, Side side) const {
    const double periods = (wanted - at) / period_;
    return at + period_ * (side == Side::later ? std::ceil(periods - 1e-9) : std::floor(periods + 1e-9));
  }

  // Both ends of each gap that is long enough, and the wanted time itself where it lies in one.
  std::vector<double> candidates(double wanted, double length, Side side) const {
    if (laid_.empty()) return {wanted};
    std::vector<double> starts;
    for (const Span& gap : gaps()) {
      const double slack = gap.length - length;
      if (slack < -rounding_) continue;
      starts.push_back(nearest(wanted, gap.begin, side));
      starts.push_back(nearest(wanted, gap.begin + slack, side));
      if (inside(wanted - gap.begin) <= slack) starts.push_back(wanted);
    }
    return starts;
  }

  std::vector<Span> gaps() const {
    if (laid_.empty()) return {{0, period_}};
    std::vector<Span> sorted = laid_;
    std::sort(sorted.begin(), sorted.end(), [](const Span& a, const Span& b) { return a.begin < b.begin; });
    std::vector<Span> found;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      const double end = sorted[i].begin + sorted[i].length;
      const double next = i + 1 < sorted.size() ? sorted[i + 1].begin : sorted.front().begin + period_;
      if (next - end > rounding_) found.push_back({end, next - end});
    }
    return found;
  }

  // Whether the passes to come fit into the gaps, the longest first into the first that holds it.
  bool leaves_room() const {
    std::vector<Span> free = gaps();
    return std::all_of(to_come_.begin(), to_come_.end(), [&](double length) {
      const auto gap =
          std::find_if(free.begin(), free.end(), [&](const Span& g) { return g.length >= length - rounding_; });
      if (gap == free.end()) return length <= rounding_;
      gap->length -= length;
      return true;
    });
  }

  double period_ = 0;
  double rounding_ = 0;
  std::vector<double> to_come_;  // lengths, the longest first
  std::vector<Span> laid_;
};

// Starts of the passes of the first micro-batch.
struct StageStarts {
  double forward = 0;
  double backward = 0;
};

class Pattern {
 public:
  Pattern(const ScheduleShape& shape, StageLayout layout, const ScheduleCosts& costs)
      : shape_(shape), layout_(layout), costs_(costs), starts_(static_cast<std::size_t>(shape.ranks * shape.chunks)) {
    std::vector<std::vector<double>> lengths(static_cast<std::size_t>(shape.ranks));
    for (std::int64_t stage = 0; stage < shape.ranks * shape.chunks; ++stage)
      for (const double length : {forward_length(stage), backward_length(stage)})
        lengths[rank_of(stage)].push_back(length);
    for (const auto& passes : lengths) {
      double work = 0;
      for (const double length : passes) work += length;
      period_ = std::max(period_, work);
    }
    for (auto& passes : lengths) ranks_.emplace_back(period_, std::move(passes));
  }

  bool lay(PatternOrder order) {
    return period_ > 0 && (order == PatternOrder::along_the_way ? lay_along() : lay_from_loss(order));
  }

  Schedule schedule() const {
    Schedule schedule{shape_, layout_, {}};
    for (std::int64_t rank = 0; rank < shape_.ranks; ++rank) schedule.ranks.push_back(order_of(rank));
    return schedule;
  }

 private:
  std::size_t rank_of(std::int64_t stage) const {
    return static_cast<std::size_t>(place_of(layout_, shape_, stage).rank);
  }
  double forward_length(std::int64_t stage) const { return costs_.of(stage).forward; }
  double backward_length(std::int64_t stage) const { return costs_.of(stage).input + costs_.of(stage).weight; }
  StageStarts& starts(std::int64_t stage) { return starts_[static_cast<std::size_t>(stage)]; }

  // Of a message between the stage and the next.
  double message(std::int64_t stage) const { return rank_of(stage) == rank_of(stage + 1) ? 0 : costs_.communication; }

  bool lay_forward(std::int64_t stage, double wanted, Side side) {
    const auto start = ranks_[rank_of(stage)].lay(wanted, forward_length(stage), side);
    starts(stage).forward = start.value_or(0);
    return start.has_value();
  }

  bool lay_backward(std::int64_t stage, double ready) {
    const auto start = ranks_[rank_of(stage)].lay(ready, backward_length(stage), Side::later);
    starts(stage).backward = start.value_or(0);
    return start.has_value();
  }

  bool lay_along() {
    double ready = 0;
    for (std::int64_t stage = 0; stage < std::ssize(starts_); ++stage) {
      if (!lay_forward(stage, ready, Side::later)) return false;
      ready = starts(stage).forward + forward_length(stage);
      if (stage + 1 < std::ssize(starts_)) ready += message(stage);
    }
    for (std::int64_t stage = std::ssize(starts_); stage-- > 0;) {
      if (!lay_backward(stage, ready)) return false;
      ready = starts(stage).backward + backward_length(stage);
      if (stage > 0) ready += message(stage - 1);
    }
    return true;
  }

  bool lay_from_loss(PatternOrder order) {
    double due = 0;
    double ready = 0;
    for (std::int64_t stage = std::ssize(starts_); stage-- > 0;) {
      const auto forward = [&] { return lay_forward(stage, due - forward_length(stage), Side::earlier); };
      const auto backward = [&] { return lay_backward(stage, ready); };
      if (order == PatternOrder::forward_to_loss ? !(forward() && backward()) : !(backward() && forward()))
        return false;
      if (stage == 0) return true;
      due = starts(stage).forward - message(stage - 1);
      ready = starts(stage).backward + backward_length(stage) + message(stage - 1);
    }
    return true;
  }

  RankOrder order_of(std::int64_t rank) const {
    std::vector<std::pair<double, Action>> timed;
    timed.reserve(static_cast<std::size_t>(2 * shape_.chunks * shape_.micro_batches));
    for (std::int32_t chunk = 0; chunk < shape_.chunks; ++chunk) {
      const StageStarts& first = starts_[static_cast<std::size_t>(stage_of(layout_, shape_, rank, chunk))];
      for (std::int32_t j = 0; j < shape_.micro_batches; ++j) {
        timed.emplace_back(first.forward + period_ * j, Action{Pass::forward, chunk, j});
        timed.emplace_back(first.backward + period_ * j, Action{Pass::backward, chunk, j});
      }
    }
    std::stable_sort(timed.begin(), timed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    RankOrder order;
    order.reserve(timed.size());
    for (const auto& [time, action] : timed) order.push_back(action);
    return order;
  }

  const ScheduleShape& shape_;
  StageLayout layout_;
  const ScheduleCosts& costs_;
  double period_ = 0;
  std::vector<RankPeriod> ranks_;
  std::vector<StageStarts> starts_;  // by stage
};

}  // namespace

std::optional<Schedule> periodic_schedule(const ScheduleShape& shape, StageLayout layout, const ScheduleCosts& costs,
                                          PatternOrder order) {
  Pattern pattern(shape, layout, costs);
  if (!pattern.lay(order)) return std::nullopt;
  return pattern.schedule();
}

}  // namespace echelon
