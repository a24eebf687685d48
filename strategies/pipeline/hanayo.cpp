#include <algorithm>

#include "strategies/pipeline/greedy.h"
#include "strategies/pipeline/order.h"
#include "strategies/pipeline/periodic.h"
#include "strategies/pipeline/timing.h"

namespace echelon {

namespace {

class Waves {
 public:
  Waves(const ScheduleShape& shape, const ScheduleCosts& costs)
      : shape_(shape), costs_(costs), limit_(static_cast<double>(shape.ranks * shape.chunks)) {}

  Schedule run() {
    for (const PatternOrder order :
         {PatternOrder::along_the_way, PatternOrder::forward_to_loss, PatternOrder::backward_from_loss}) {
      offer_pattern(order);
      if (is_large(shape_) && !best_.ranks.empty()) return std::move(best_);
    }
    offer(with_idle_filled(in_units(), costs_, limit_));
    for (const Preference preference : {Preference::backward, Preference::alternate, Preference::forward})
      offer(listed(shape_, preference, Admission::one_through));
    return std::move(best_);
  }

 private:
  void offer(const Schedule& schedule) {
    const auto outcome = time_schedule(schedule, costs_);
    const auto* timing = std::get_if<ScheduleTiming>(&outcome);
    if (timing == nullptr || *std::max_element(timing->peak.begin(), timing->peak.end()) > limit_) return;
    if (!best_.ranks.empty() && timing->makespan >= least_) return;
    best_ = schedule;
    least_ = timing->makespan;
  }

  void offer_pattern(PatternOrder order) {
    const auto schedule = periodic_schedule(shape_, StageLayout::wave, costs_, order);
    if (schedule && std::holds_alternative<ScheduleTiming>(time_schedule(*schedule, costs_)))
      offer(with_idle_filled(*schedule, costs_, limit_));
  }

  Schedule listed(const ScheduleShape& shape, Preference preference, Admission admission) const {
    GreedyRules rules;
    rules.splits_backward = false;
    rules.preference = preference;
    rules.admission = admission;
    rules.memory_limit = limit_;
    return *greedy_schedule(shape, StageLayout::wave, costs_, rules);
  }

  // The paper's unit, one micro-batch a rank, again and again.
  Schedule in_units() const {
    ScheduleShape unit = shape_;
    unit.micro_batches = std::min(shape_.ranks, shape_.micro_batches);
    const Schedule one = listed(unit, Preference::backward, Admission::all_through);
    return by_rank(shape_, StageLayout::wave, [&](std::int64_t rank) {
      RankOrder order;
      for (std::int64_t begin = 0; begin < shape_.micro_batches; begin += unit.micro_batches)
        for (Action action : one.ranks[static_cast<std::size_t>(rank)]) {
          action.micro_batch += static_cast<std::int32_t>(begin);
          if (action.micro_batch < shape_.micro_batches) order.push_back(action);
        }
      return order;
    });
  }

  const ScheduleShape& shape_;
  const ScheduleCosts& costs_;
  double limit_ = 0;  // chunk activations of a rank: those of as many micro-batches as there are ranks
  Schedule best_;
  double least_ = 0;
};

}  // namespace

// Waves: an even number of chunks that zigzag over the ranks (arXiv:2308.15762). The paper gives the placement, the
// principle (backward passes first) and units of as many micro-batches as ranks; how units follow each other it leaves
// open. Here the shortest of several orders that keep no more activations than 1F1B's first rank: such units with the
// next one's forward passes where a rank would wait, list scheduling, and patterns that repeat.
Schedule hanayo(const ScheduleShape& shape, const ScheduleCosts& costs) {
  return Waves(shape, costs).run();
}

}  // namespace echelon
