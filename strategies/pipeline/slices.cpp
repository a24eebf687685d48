#include "strategies/pipeline/slices.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "sim/base/error.h"

namespace echelon {

SequencePart slice_part(const Strategy& strategy, double sequence_length, std::int32_t slice) {
  const double count = static_cast<double>(strategy.sequence_slices);
  if (strategy.slice_lengths.empty()) return {static_cast<double>(slice) / count, 1 / count};
  const auto first = strategy.slice_lengths.begin();
  const std::int64_t begin = std::accumulate(first, first + slice, std::int64_t{0});
  return {static_cast<double>(begin) / sequence_length, static_cast<double>(first[slice]) / sequence_length};
}

namespace {

constexpr double never = std::numeric_limits<double>::infinity();

// Costs of slices between cuts; cut i lies behind i grains, the last at the end.
class Cuts {
 public:
  Cuts(std::int64_t sequence_length, std::int64_t grain, const SliceCost& cost)
      : length_(sequence_length), grain_(grain), cuts_(static_cast<std::size_t>((length_ + grain - 1) / grain)) {
    for (std::size_t from = 0; from < cuts_; ++from)
      for (std::size_t to = 0; to <= cuts_; ++to)
        costs_.push_back(to > from ? cost(at(from), at(to) - at(from)) : never);
  }

  std::size_t count() const { return cuts_; }
  std::int64_t at(std::size_t cut) const { return std::min(length_, static_cast<std::int64_t>(cut) * grain_); }
  double cost(std::size_t from, std::size_t to) const { return costs_[from * (cuts_ + 1) + to]; }
  std::vector<double> sorted_costs() const {
    std::vector<double> costs;
    for (const double cost : costs_)
      if (cost < never) costs.push_back(cost);
    std::sort(costs.begin(), costs.end());
    costs.erase(std::unique(costs.begin(), costs.end()), costs.end());
    return costs;
  }

 private:
  std::int64_t length_;
  std::int64_t grain_;
  std::size_t cuts_;
  std::vector<double> costs_;
};

struct Cutting {
  double sum = never;
  std::vector<std::size_t> ends;  // of the slices, as cuts
};

// The least sum of exactly `count` slices of which none costs more than `most`.
Cutting least_sum(const Cuts& cuts, std::size_t count, double most) {
  const std::size_t all = cuts.count();
  std::vector<std::vector<double>> sums(count + 1, std::vector<double>(all + 1, never));
  std::vector<std::vector<std::size_t>> before(count + 1, std::vector<std::size_t>(all + 1, 0));
  sums[0][0] = 0;
  for (std::size_t slice = 1; slice <= count; ++slice)
    for (std::size_t to = slice; to <= all; ++to)
      for (std::size_t from = slice - 1; from < to; ++from) {
        const double cost = cuts.cost(from, to);
        if (cost > most || sums[slice - 1][from] + cost >= sums[slice][to]) continue;
        sums[slice][to] = sums[slice - 1][from] + cost;
        before[slice][to] = from;
      }
  Cutting found{sums[count][all], {}};
  if (found.sum == never) return found;
  for (std::size_t slice = count, to = all; slice > 0; to = before[slice--][to]) found.ends.push_back(to);
  std::reverse(found.ends.begin(), found.ends.end());
  return found;
}

}  // namespace

std::vector<std::int64_t> balanced_slices(std::int64_t sequence_length, std::int64_t count, std::int64_t grain,
                                          std::int64_t ranks, const SliceCost& cost) {
  const Cuts cuts(sequence_length, grain, cost);
  const auto slices = static_cast<std::size_t>(count);
  SIM_CHECK(slices >= 1 && slices <= cuts.count(), "{} slices of {} cuts", slices, cuts.count());
  const std::vector<double> costs = cuts.sorted_costs();
  // No largest cost below the first that allows a cutting does; a larger one pays while the sum falls by more.
  const auto can = [&](double most) { return least_sum(cuts, slices, most).sum < never; };
  auto from = std::partition_point(costs.begin(), costs.end(), [&](double most) { return !can(most); });
  const double others = static_cast<double>(ranks - 1);
  const double least = least_sum(cuts, slices, never).sum;
  double best = never;
  Cutting chosen;
  for (; from != costs.end() && least + others * *from < best; ++from) {
    Cutting cutting = least_sum(cuts, slices, *from);
    if (cutting.sum + others * *from >= best) continue;
    best = cutting.sum + others * *from;
    chosen = std::move(cutting);
  }
  std::vector<std::int64_t> lengths;
  std::int64_t begin = 0;
  for (const std::size_t end : chosen.ends) {
    lengths.push_back(cuts.at(end) - begin);
    begin = cuts.at(end);
  }
  return lengths;
}

}  // namespace echelon
