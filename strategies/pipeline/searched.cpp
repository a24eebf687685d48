// A schedule that none of the named ones is: the best of all of them that the shape and the memory limit allow, of list
// scheduling by several rules, and of neighbours of the best found so far.
#include <algorithm>
#include <random>

#include "strategies/pipeline/greedy.h"
#include "strategies/pipeline/timing.h"

namespace echelon {

namespace {

class Search {
 public:
  Search(const ScheduleShape& shape, const ScheduleCosts& costs) : shape_(shape), costs_(costs) {}

  Schedule run() {
    for (const auto& kind : enum_names<ScheduleKind>) offer_named(kind.value);
    for (const StageLayout layout : {StageLayout::loop, StageLayout::wave})
      if (layout == StageLayout::loop || (shape_.chunks > 1 && !costs_.keeps_layout)) offer_greedy(layout);
    improve();
    return std::move(best_);
  }

 private:
  // Tasks of swaps that are tried: enough for small shapes to settle, a second's work for none.
  static constexpr std::size_t budget = 1'000'000;

  // Activations of a rank in micro-batches: each chunk holds its share.
  bool fits(double peak) const {
    return costs_.memory_limit <= 0 || peak <= costs_.memory_limit * static_cast<double>(shape_.chunks) + 1e-9;
  }

  // Of two that are as short, the one that keeps less.
  bool is_better(double makespan, double peak) const {
    if (!fits(peak)) return false;
    if (!best_fits_) return true;
    const double rounding = 1e-12 * least_;
    return makespan < least_ - rounding || (makespan <= least_ + rounding && peak < peak_ - 1e-9);
  }

  bool offer(const Schedule& schedule) {
    const auto outcome = time_schedule(schedule, costs_);
    const auto* timing = std::get_if<ScheduleTiming>(&outcome);
    if (timing == nullptr) return false;
    const double peak = *std::max_element(timing->peak.begin(), timing->peak.end());
    // A schedule that does not fit is better than none.
    if (!best_.ranks.empty() && !is_better(timing->makespan, peak)) return false;
    best_ = schedule;
    best_fits_ = fits(peak);
    least_ = timing->makespan;
    peak_ = peak;
    return true;
  }

  void offer_named(ScheduleKind kind) {
    const ScheduleRow& row = schedule_row(kind);
    if (kind == ScheduleKind::searched || row.layout == StageLayout::bidirectional || shape_.slices > 1) return;
    if (costs_.keeps_layout && row.layout != StageLayout::loop) return;
    if (chunk_refusal(kind, shape_.chunks) || rank_refusal(kind, shape_)) return;
    if (fitting_micro_batches(kind, shape_) != shape_.micro_batches) return;
    offer(row.build(shape_, costs_));
  }

  // All rules on small shapes; on large ones those that most often win.
  void offer_greedy(StageLayout layout) {
    const bool small = shape_.ranks * shape_.chunks * shape_.micro_batches < 10'000;
    for (const double limit : limits(small))
      for (const bool splits : {true, false})
        for (const Preference preference : {Preference::alternate, Preference::backward, Preference::forward})
          for (const bool patient : {false, true}) {
            if (!small && (!splits || patient || preference == Preference::forward)) continue;
            GreedyRules rules{splits, preference, patient, limit * static_cast<double>(shape_.chunks)};
            if (const auto schedule = greedy_schedule(shape_, layout, costs_, rules)) offer(*schedule);
          }
  }

  // Micro-batches that a rank may keep: what is allowed, and on small shapes as many as there are ranks and twice that,
  // beyond which more hardly helps (the plateau of arXiv:2401.10241).
  std::vector<double> limits(bool small) const {
    const double allowed = costs_.memory_limit;
    const auto ranks = static_cast<double>(shape_.ranks);
    std::vector<double> found{allowed};
    for (const double limit : {ranks, 2 * ranks})
      if (small && (allowed <= 0 || limit < allowed)) found.push_back(limit);
    return found;
  }

  // Swaps two neighbours of one rank's list at random and keeps what is shorter; the seed is fixed.
  void improve() {
    std::size_t actions = 0;
    for (const RankOrder& order : best_.ranks) actions += order.size();
    std::mt19937_64 random(1);
    Schedule candidate = best_;
    for (std::size_t tried = 0; tried < budget; tried += actions) {
      RankOrder& order = candidate.ranks[random() % candidate.ranks.size()];
      if (order.size() < 2) return;
      const std::size_t at = random() % (order.size() - 1);
      const bool splits_pair = order[at].paired || order[at + 1].paired || (at > 0 && order[at - 1].paired);
      if (splits_pair) continue;
      std::swap(order[at], order[at + 1]);
      if (!offer(candidate)) std::swap(order[at], order[at + 1]);
    }
  }

  const ScheduleShape& shape_;
  const ScheduleCosts& costs_;
  Schedule best_;
  bool best_fits_ = false;
  double least_ = 0;  // its makespan
  double peak_ = 0;
};

}  // namespace

Schedule searched(const ScheduleShape& shape, const ScheduleCosts& costs) {
  return Search(shape, costs).run();
}

}  // namespace echelon
