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
  Partitions(const std::vector<LayerCosts>& kinds, const std::vector<std::int32_t>& kind_of_stage,
             const std::vector<std::int64_t>& most)
      : kinds_(kinds),
        kind_of_stage_(kind_of_stage),
        most_(most),
        stages_(kind_of_stage.size()),
        layers_(kinds.front().layers.size()) {
    for (const LayerCosts& kind : kinds) {
      std::vector<double>& sums = sums_.emplace_back(1, 0);
      for (const double cost : kind.layers) sums.push_back(sums.back() + cost);
    }
  }

  // The least cost of the costliest stage; infinite where there is no partition.
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
    const auto kind = static_cast<std::size_t>(kind_of_stage_[stage]);
    const std::vector<double>& sums = sums_[kind];
    return sums[end] - sums[begin] + (stage == 0 ? kinds_[kind].first : 0) +
           (stage + 1 == stages_ ? kinds_[kind].last : 0);
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
          if (!most_.empty() && static_cast<std::int64_t>(end - begin) > most_[stage]) break;
          const double own = cost(stage, begin, end);
          if (own > limit) break;  // an earlier beginning costs more still
          const double value = combine(value_[stage][begin], own);
          if (value >= value_[stage + 1][end]) continue;
          value_[stage + 1][end] = value;
          begin_[stage + 1][end] = begin;
        }
  }

  const std::vector<LayerCosts>& kinds_;
  const std::vector<std::int32_t>& kind_of_stage_;
  const std::vector<std::int64_t>& most_;  // layers by stage
  std::size_t stages_ = 0;
  std::size_t layers_ = 0;
  std::vector<std::vector<double>> sums_;  // by kind: of the costs before each layer
  std::vector<std::vector<double>> value_;
  std::vector<std::vector<std::size_t>> begin_;  // of the last stage's layers
};

}  // namespace

std::vector<std::int64_t> balanced_layers(const std::vector<double>& costs, double first, double last,
                                          std::int64_t stages) {
  return balanced_layers(std::vector{LayerCosts{costs, first, last}},
                         std::vector<std::int32_t>(static_cast<std::size_t>(stages), 0));
}

std::vector<std::int64_t> balanced_layers(const std::vector<LayerCosts>& kinds,
                                          const std::vector<std::int32_t>& kind_of_stage,
                                          const std::vector<std::int64_t>& most) {
  const std::size_t layers = kinds.front().layers.size();
  SIM_CHECK(!kind_of_stage.empty() && kind_of_stage.size() <= layers, "{} layers on {} stages", layers,
            kind_of_stage.size());
  Partitions partitions(kinds, kind_of_stage, most);
  const double least = partitions.least_maximum();
  if (least == impossible) return {};
  return partitions.evenest(least * (1 + 1e-12));
}

}  // namespace echelon
