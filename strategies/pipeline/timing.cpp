#include "strategies/pipeline/timing.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <optional>

#include "sim/base/error.h"
#include "strategies/pipeline/vocabulary.h"

namespace echelon {

namespace {

constexpr double unknown = std::numeric_limits<double>::infinity();

bool is_backward(Pass pass) {
  return pass == Pass::backward || pass == Pass::input_gradient;
}

// When passes of one kind ended, by stage, micro-batch and slice.
class Ends {
 public:
  Ends(std::int64_t stages, const ScheduleShape& shape)
      : micro_batches_(shape.micro_batches),
        slices_(shape.slices),
        ends_(static_cast<std::size_t>(stages * micro_batches_ * slices_), unknown) {}

  double& at(std::int64_t stage, const Action& action) {
    return ends_[static_cast<std::size_t>((stage * micro_batches_ + action.micro_batch) * slices_ + action.slice)];
  }

 private:
  std::int64_t micro_batches_;
  std::int64_t slices_;
  std::vector<double> ends_;
};

// What an action waits for, at most two: a stage and whether its forward.
struct Wait {
  std::int64_t stage = 0;
  bool forward = true;
};

class Runner {
 public:
  Runner(const Schedule& schedule, const ScheduleCosts& costs)
      : schedule_(schedule),
        costs_(costs),
        stages_(schedule.shape.ranks * schedule.shape.chunks),
        forwards_(stages_, schedule.shape),
        backwards_(stages_, schedule.shape),
        events_(divides_vocabulary() ? schedule.shape : ScheduleShape{0, 0}),
        next_(schedule.ranks.size(), 0),
        free_(schedule.ranks.size(), 0) {
    for (const RankOrder& order : schedule.ranks) timing_.actions.emplace_back(order.size());
    for (const auto& evictions : schedule.evictions) {
      auto& returns = returns_after_.emplace_back(static_cast<std::size_t>(schedule.shape.micro_batches), stays);
      for (const Eviction& eviction : evictions)
        returns[static_cast<std::size_t>(eviction.micro_batch)] = eviction.returns_after;
    }
  }

  std::variant<ScheduleTiming, ScheduleDeadlock> run() {
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t rank = 0; rank < next_.size(); ++rank)
        while (advance(rank)) moved = true;
    }
    for (std::size_t rank = 0; rank < next_.size(); ++rank)
      if (next_[rank] < schedule_.ranks[rank].size()) return deadlock(rank);
    summarise();
    return std::move(timing_);
  }

 private:
  std::int64_t stage(std::size_t rank, const Action& action) const {
    return stage_of(schedule_.layout, schedule_.shape, static_cast<std::int64_t>(rank), action.chunk);
  }

  // Calls `visit(wait)` for each thing that the action waits for.
  template <class Visit>
  void for_waits(std::size_t rank, const Action& action, const Visit& visit) const {
    if (action.part != ActionPart::layers) return;
    const std::int64_t here = stage(rank, action);
    if (action.pass == Pass::forward) {
      if (!is_first_stage(schedule_.layout, schedule_.shape, here)) visit(Wait{here - 1, true});
      return;
    }
    if (action.pass == Pass::weight_gradient) {
      visit(Wait{here, false});
      return;
    }
    visit(Wait{here, true});
    if (!is_last_stage(schedule_.layout, schedule_.shape, here)) visit(Wait{here + 1, false});
  }

  double arrival(std::size_t rank, const Action& action, const Wait& wait) {
    const double end = (wait.forward ? forwards_ : backwards_).at(wait.stage, action);
    const std::int64_t producer = place_of(schedule_.layout, schedule_.shape, wait.stage).rank;
    return producer == static_cast<std::int64_t>(rank) ? end : end + costs_.communication;
  }

  // When what the pass works on is back from the partner, or there is room behind what left for it.
  double loans_settled(std::size_t rank, const Action& action) {
    if (returns_after_.empty()) return 0;
    const bool forward = action.pass == Pass::forward;
    const std::int32_t lent = action.micro_batch - (forward ? 1 : 0);
    const std::int32_t returns_after = lent < 0 ? stays : returns_after_[rank][static_cast<std::size_t>(lent)];
    if (returns_after == stays) return 0;
    Action sender = action;
    sender.micro_batch = forward ? lent : returns_after;
    return (forward ? forwards_ : backwards_).at(stage(rank, action), sender) + costs_.communication;
  }

  double duration(std::int64_t stage, const Action& action) const {
    return action_duration(costs_, schedule_.vocabulary, stage, action);
  }

  bool divides_vocabulary() const { return schedule_.vocabulary != VocabularyParallel::none; }

  StageEnds ends_of(std::int64_t stage) const {
    return {is_first_stage(schedule_.layout, schedule_.shape, stage),
            is_last_stage(schedule_.layout, schedule_.shape, stage)};
  }

  // Calls `visit(event, micro-batch)` for each event that the action waits for: its own, and where collectives hold
  // back all ranks that of the vocabulary's pass before it.
  template <class Visit>
  void for_events(std::size_t rank, std::size_t index, const Visit& visit) const {
    if (!divides_vocabulary()) return;
    const RankOrder& order = schedule_.ranks[rank];
    const auto of_stage = [&](const Action& action) { return ends_of(stage(rank, action)); };
    if (const auto event = awaited_event(schedule_.vocabulary, order[index], of_stage(order[index])))
      visit(*event, order[index].micro_batch);
    if (schedule_.vocabulary != VocabularyParallel::interlaced || index == 0) return;
    const Action& before = order[index - 1];
    if (before.part == ActionPart::layers) return;
    if (const auto event = event_of(before, of_stage(before))) visit(*event, before.micro_batch);
  }

  // A pair starts once both can and ends as one.
  bool advance(std::size_t rank) {
    const RankOrder& order = schedule_.ranks[rank];
    if (next_[rank] == order.size()) return false;
    const std::size_t count = order[next_[rank]].paired ? 2 : 1;
    double start = free_[rank];
    double length = 0;
    for (std::size_t i = next_[rank]; i < next_[rank] + count; ++i) {
      for_waits(rank, order[i], [&](const Wait& wait) { start = std::max(start, arrival(rank, order[i], wait)); });
      start = std::max(start, loans_settled(rank, order[i]));
      for_events(rank, i,
                 [&](VocabularyEvent event, std::int32_t j) { start = std::max(start, events_.at(event, j)); });
      length += duration(stage(rank, order[i]), order[i]);
    }
    if (start == unknown) return false;
    free_[rank] = start + length;
    for (std::size_t i = 0; i < count; ++i) finish(rank, start);
    return true;
  }

  void finish(std::size_t rank, double start) {
    const Action& action = schedule_.ranks[rank][next_[rank]];
    const std::int64_t here = stage(rank, action);
    timing_.actions[rank][next_[rank]++] = {start, free_[rank]};
    if (divides_vocabulary())
      if (const auto event = event_of(action, ends_of(here)))
        events_.finish(*event, action.micro_batch, free_[rank] + costs_.communication);
    if (action.part != ActionPart::layers) return;
    if (action.pass == Pass::forward) forwards_.at(here, action) = free_[rank];
    if (is_backward(action.pass)) backwards_.at(here, action) = free_[rank];
  }

  // What a rank has still to do.
  struct Awaited {
    std::size_t rank = 0;
    Action action;
  };

  // What the blocked rank waits for.
  std::optional<Awaited> awaited(std::size_t rank) {
    const RankOrder& order = schedule_.ranks[rank];
    std::optional<Awaited> found;
    for (std::size_t i = next_[rank]; i < next_[rank] + (order[next_[rank]].paired ? 2 : 1); ++i)
      for_waits(rank, order[i], [&](const Wait& wait) {
        if (arrival(rank, order[i], wait) == unknown) found = maker_of(wait, order[i]);
      });
    if (!found)
      for_events(rank, next_[rank], [&](VocabularyEvent event, std::int32_t j) {
        if (events_.at(event, j) == unknown && !found) found = maker_of(event, j);
      });
    return found;
  }

  // The pass that makes what `action` waits for; where the list lacks it, the one at which its rank stands.
  Awaited maker_of(const Wait& wait, const Action& action) const {
    const auto rank = static_cast<std::size_t>(place_of(schedule_.layout, schedule_.shape, wait.stage).rank);
    const RankOrder& order = schedule_.ranks[rank];
    const auto from = order.begin() + static_cast<std::ptrdiff_t>(next_[rank]);
    const auto made = std::find_if(from, order.end(), [&](const Action& other) {
      const bool gives = wait.forward ? other.pass == Pass::forward : is_backward(other.pass);
      return gives && other.part == ActionPart::layers && other.micro_batch == action.micro_batch &&
             other.slice == action.slice && stage(rank, other) == wait.stage;
    });
    if (made != order.end()) return {rank, *made};
    return {rank, from == order.end() ? action : *from};
  }

  // A rank that has not yet done its part in the event.
  std::optional<Awaited> maker_of(VocabularyEvent event, std::int32_t micro_batch) const {
    for (std::size_t rank = 0; rank < next_.size(); ++rank)
      for (std::size_t i = next_[rank]; i < schedule_.ranks[rank].size(); ++i) {
        const Action& action = schedule_.ranks[rank][i];
        if (action.micro_batch == micro_batch && event_of(action, ends_of(stage(rank, action))) == event)
          return Awaited{rank, action};
      }
    return std::nullopt;
  }

  ScheduleDeadlock deadlock(std::size_t rank) {
    std::vector<std::size_t> path;
    std::vector<Action> waits;
    while (std::find(path.begin(), path.end(), rank) == path.end()) {
      const auto next = awaited(rank);
      SIM_CHECK(next.has_value(), "rank {} is blocked by nothing", rank);
      path.push_back(rank);
      waits.push_back(next->action);
      if (next_[next->rank] == schedule_.ranks[next->rank].size()) {  // the list lacks what this rank waits for
        rank = path.front();
        break;
      }
      rank = next->rank;
    }
    ScheduleDeadlock result;
    for (auto at = static_cast<std::size_t>(std::find(path.begin(), path.end(), rank) - path.begin()); at < path.size();
         ++at)
      result.cycle.push_back(
          {static_cast<std::int64_t>(path[at]), schedule_.ranks[path[at]][next_[path[at]]], waits[at]});
    return result;
  }

  void summarise() {
    double first = unknown;
    double last = 0;
    for (std::size_t rank = 0; rank < next_.size(); ++rank) {
      const auto& times = timing_.actions[rank];
      double work = 0;
      for (const Action& action : schedule_.ranks[rank]) work += duration(stage(rank, action), action);
      timing_.work.push_back(work);
      timing_.peak.push_back(schedule_.evictions.empty() ? peak_of(schedule_.ranks[rank]) : peak_with_loans(rank));
      if (times.empty()) continue;
      first = std::min(first, times.front().start);
      last = std::max(last, times.back().end);
      timing_.span = std::max(timing_.span, times.back().end - times.front().start);
    }
    timing_.makespan = first == unknown ? 0 : last - first;
  }

  // What the rank has not lent and what it borrowed, by time: messages take none.
  double peak_with_loans(std::size_t rank) const {
    std::vector<std::pair<double, double>> changes;
    const RankOrder& order = schedule_.ranks[rank];
    for (std::size_t i = 0; i < order.size(); ++i) {
      const bool forward = order[i].pass == Pass::forward;
      const ActionTime& time = timing_.actions[rank][i];
      changes.emplace_back(forward ? time.start : time.end, forward ? 1 : -1);
    }
    add_loans(rank, -1, changes);
    add_loans(schedule_.ranks.size() - 1 - rank, 1, changes);
    std::sort(changes.begin(), changes.end());  // at one time what goes comes first
    double live = 0;
    double most = 0;
    for (const auto& [time, change] : changes) most = std::max(most, live += change);
    return most;
  }

  void add_loans(std::size_t lender, double change, std::vector<std::pair<double, double>>& changes) const {
    std::map<std::pair<bool, std::int32_t>, double> ends;
    for (std::size_t i = 0; i < schedule_.ranks[lender].size(); ++i) {
      const Action& action = schedule_.ranks[lender][i];
      ends[{action.pass == Pass::forward, action.micro_batch}] = timing_.actions[lender][i].end;
    }
    for (const Eviction& eviction : schedule_.evictions[lender]) {
      changes.emplace_back(ends.at({true, eviction.micro_batch}), change);
      changes.emplace_back(ends.at({false, eviction.returns_after}), -change);
    }
  }

  double peak_of(const RankOrder& order) const {
    double live = 0;
    double most = 0;
    for (const Action& action : order) {
      if (action.part != ActionPart::layers) continue;
      live += activations_taken(action.pass, costs_.weight_share);
      most = std::max(most, live);
    }
    return most;
  }

  const Schedule& schedule_;
  const ScheduleCosts& costs_;
  std::int64_t stages_ = 0;
  Ends forwards_;
  Ends backwards_;
  VocabularyTimes events_;
  static constexpr std::int32_t stays = -1;
  std::vector<std::vector<std::int32_t>> returns_after_;  // by rank and micro-batch; without ranks: none leaves
  std::vector<std::size_t> next_;                         // by rank: the first action that has not run
  std::vector<double> free_;
  ScheduleTiming timing_;
};

}  // namespace

double action_duration(const ScheduleCosts& costs, VocabularyParallel method, std::int64_t stage,
                       const Action& action) {
  if (action.part == ActionPart::embedding) return 0;
  const bool output = action.part == ActionPart::output;
  const StageCost& cost = output ? costs.output : costs.of(stage);
  const bool early_input = output && method == VocabularyParallel::vocab_2;  // with the forward pass
  switch (action.pass) {
    case Pass::forward:
      return cost.forward + (early_input ? cost.input : 0);
    case Pass::input_gradient:
      return cost.input;
    case Pass::weight_gradient:
      return cost.weight;
    case Pass::backward:
      return cost.weight + (early_input ? 0 : cost.input);
  }
  return 0;
}

double ScheduleTiming::bubble_of_makespan() const {
  const double busy = std::accumulate(work.begin(), work.end(), 0.0);
  return makespan > 0 ? 1 - busy / (makespan * static_cast<double>(work.size())) : 0;
}

double ScheduleTiming::bubble_of_span() const {
  const double busy = work.empty() ? 0 : *std::max_element(work.begin(), work.end());
  return span > 0 ? (span - busy) / span : 0;
}

std::variant<ScheduleTiming, ScheduleDeadlock> time_schedule(const Schedule& schedule, const ScheduleCosts& costs) {
  return Runner(schedule, costs).run();
}

ScheduleTiming timing_of(const Schedule& schedule, const ScheduleCosts& costs) {
  auto outcome = time_schedule(schedule, costs);
  SIM_CHECK(std::holds_alternative<ScheduleTiming>(outcome), "a schedule of {} ranks deadlocks", schedule.shape.ranks);
  return std::get<ScheduleTiming>(std::move(outcome));
}

}  // namespace echelon
