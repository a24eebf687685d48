#include <algorithm>
#include <limits>

#include "sim/base/error.h"
#include "strategies/placement/stages.h"

namespace echelon {

namespace {

constexpr double impossible = std::numeric_limits<double>::infinity();

// Dynamic programming over stages and the layers that they take.
class Partitions {
 public:
  Partitions(const std::vector<double>& costs, double first, double last, std::int64_t stages)
      : first_(first), last_(last), stages_(static_cast<std::size_t>(stages)), layers_(costs.size()), sums_{0} {
    for (const double cost : costs) sums_.push_back(sums_.back() + cost);
  }

  // The least cost of the costliest stage.
  double least_maximum() {
    fill(impossible, [](double before, double own) { return std::max(before, own); });
    return value_[stages_][layers_];
  }

  // Of the partitions with no stage above `limit` the one with the least sum of squares.
  std::vector<std::int64_t> evenest(double limit) {
    fill(limit, [](double before, double own) { return before + own * own; });
    std::vector<std::int64_t> counts(stages_);
    std::size_t end = layers_;
    for (std::size_t stage = stages_; stage-- > 0;) {
      const std::size_t begin = begin_[stage + 1][end];
      counts[stage] = static_cast<std::int64_t>(end - begin);
      end = begin;
    }
    return counts;
  }

 private:
  double cost(std::size_t stage, std::size_t begin, std::size_t end) const {
    return sums_[end] - sums_[begin] + (stage == 0 ? first_ : 0) + (stage + 1 == stages_ ? last_ : 0);
  }

  // value_[s][e]: the best of the first s stages with the first e layers; every stage takes a layer at least.
  template <class Combine>
  void fill(double limit, const Combine& combine) {
    value_.assign(stages_ + 1, std::vector<double>(layers_ + 1, impossible));
    begin_.assign(stages_ + 1, std::vector<std::size_t>(layers_ + 1, 0));
    value_[0][0] = 0;
    for (std::size_t stage = 0; stage < stages_; ++stage)
      for (std::size_t end = stage + 1; end + stages_ <= layers_ + stage + 1; ++end)
        for (std::size_t begin = end; begin-- > stage;) {
          const double own = cost(stage, begin, end);
          if (own > limit) break;  // an earlier beginning costs more still
          const double value = combine(value_[stage][begin], own);
          if (value >= value_[stage + 1][end]) continue;
          value_[stage + 1][end] = value;
          begin_[stage + 1][end] = begin;
        }
  }

  double first_ = 0;
  double last_ = 0;
  std::size_t stages_ = 0;
  std::size_t layers_ = 0;
  std::vector<double> sums_;  // of the costs before each layer
  std::vector<std::vector<double>> value_;
  std::vector<std::vector<std::size_t>> begin_;  // of the last stage's layers
};

}  // namespace

std::vector<std::int64_t> balanced_layers(const std::vector<double>& costs, double first, double last,
                                          std::int64_t stages) {
  SIM_CHECK(stages >= 1 && stages <= std::ssize(costs), "{} layers on {} stages", costs.size(), stages);
  Partitions partitions(costs, first, last, stages);
  return partitions.evenest(partitions.least_maximum() * (1 + 1e-12));
}

}  // namespace echelon
