#include "strategies/pipeline/greedy.h"

#include <algorithm>
#include <array>
#include <deque>
#include <limits>
#include <tuple>

namespace echelon {

namespace {

constexpr double never = std::numeric_limits<double>::infinity();

// Ends of passes so far, and when what they made reaches another stage's rank.
class Progress {
 public:
  Progress(const ScheduleShape& shape, StageLayout layout, const ScheduleCosts& costs)
      : shape_(shape),
        layout_(layout),
        costs_(costs),
        forwards_(static_cast<std::size_t>(shape.ranks * shape.chunks * shape.micro_batches), never),
        backwards_(forwards_) {}

  // When the rank could start the action, were it free; never: what it waits for has not run.
  double ready(std::int64_t rank, const Action& action) const {
    const std::int64_t stage = stage_of(layout_, shape_, rank, action.chunk);
    const std::int32_t j = action.micro_batch;
    if (action.pass == Pass::forward)
      return is_first_stage(layout_, shape_, stage) ? 0 : arrival(forwards_, stage - 1, rank, j);
    if (action.pass == Pass::weight_gradient) return backwards_[index(stage, j)];
    const double own = forwards_[index(stage, j)];
    return is_last_stage(layout_, shape_, stage) ? own : std::max(own, arrival(backwards_, stage + 1, rank, j));
  }

  double duration(std::int64_t rank, const Action& action) const {
    const StageCost& cost = costs_.of(stage_of(layout_, shape_, rank, action.chunk));
    if (action.pass == Pass::forward) return cost.forward;
    if (action.pass == Pass::weight_gradient) return cost.weight;
    return action.pass == Pass::input_gradient ? cost.input : cost.input + cost.weight;
  }

  void finish(std::int64_t rank, const Action& action, double end) {
    const std::size_t at = index(stage_of(layout_, shape_, rank, action.chunk), action.micro_batch);
    if (action.pass == Pass::forward) forwards_[at] = end;
    if (action.pass == Pass::input_gradient || action.pass == Pass::backward) backwards_[at] = end;
  }

 private:
  std::size_t index(std::int64_t stage, std::int32_t micro_batch) const {
    return static_cast<std::size_t>(stage * shape_.micro_batches + micro_batch);
  }

  double arrival(const std::vector<double>& ends, std::int64_t stage, std::int64_t rank, std::int32_t j) const {
    const double end = ends[index(stage, j)];
    return place_of(layout_, shape_, stage).rank == rank ? end : end + costs_.communication;
  }

  const ScheduleShape& shape_;
  StageLayout layout_;
  const ScheduleCosts& costs_;
  std::vector<double> forwards_;
  std::vector<double> backwards_;
};

struct Choice {
  Action action;
  double start = never;
};

// Lets the rank whose choice starts first run it, until none has one. A choice is asked for again once it may have
// changed: after what the rank itself or a neighbouring stage's rank ran.
template <class Choose, class Run>
void run_in_time_order(const ScheduleShape& shape, StageLayout layout, const Choose& choose, const Run& run) {
  std::vector<Choice> choices(static_cast<std::size_t>(shape.ranks));
  std::vector<double> starts(choices.size());
  const auto ask = [&](std::size_t rank) {
    choices[rank] = choose(rank);
    starts[rank] = choices[rank].start;
  };
  for (std::size_t rank = 0; rank < choices.size(); ++rank) ask(rank);
  while (true) {
    const std::int64_t rank = std::min_element(starts.begin(), starts.end()) - starts.begin();
    const Choice choice = choices[static_cast<std::size_t>(rank)];
    if (choice.start == never) return;
    run(static_cast<std::size_t>(rank), choice);
    ask(static_cast<std::size_t>(rank));
    const std::int64_t stage = stage_of(layout, shape, rank, choice.action.chunk);
    for (const std::int64_t neighbour : {stage - 1, stage + 1}) {
      if (neighbour < 0 || neighbour >= shape.ranks * shape.chunks) continue;
      ask(static_cast<std::size_t>(place_of(layout, shape, neighbour).rank));
    }
  }
}

// What is still to do on one rank.
class RankState {
 public:
  RankState(const ScheduleShape& shape, StageLayout layout, std::int64_t rank, const ScheduleCosts& costs,
            const GreedyRules& rules)
      : rules_(rules),
        weight_share_(costs.weight_share),
        rank_(rank),
        chunks_(static_cast<std::int32_t>(shape.chunks)),
        micro_batches_(static_cast<std::int32_t>(stage_micro_batches(layout, shape))),
        next_(static_cast<std::size_t>(shape.chunks)) {}

  Choice best(const Progress& progress) const {
    Choice found;
    std::tuple<double, int, int> least{never, 0, 0};
    double next_arrival = never;  // of what is not a weight gradient
    for_open([&](const Action& action) {
      const double start = std::max(free_, progress.ready(rank_, action));
      if (start == never) return;
      if (action.pass != Pass::weight_gradient) next_arrival = std::min(next_arrival, start);
      const std::tuple<double, int, int> key{start, priority(action), order_in_chunks(action)};
      if (key >= least) return;
      least = key;
      found = {action, start};
    });
    if (rules_.patient && found.action.pass == Pass::weight_gradient && found.start != never &&
        next_arrival < found.start + progress.duration(rank_, found.action))
      return first_other(progress);
    return found;
  }

  void take(const Choice& choice, double end) {
    Counters& next = next_[static_cast<std::size_t>(choice.action.chunk)];
    const Pass pass = choice.action.pass;
    if (pass == Pass::forward) ++next.forward;
    if (pass == Pass::input_gradient || pass == Pass::backward) ++next.backward;
    if (pass == Pass::weight_gradient || pass == Pass::backward) ++next.weight;
    if (pass != Pass::weight_gradient) last_was_forward_ = pass == Pass::forward;
    live_ += activations_taken(pass, weight_share_);
    free_ = end;
    order.push_back(choice.action);
  }

  RankOrder order;

 private:
  struct Counters {
    std::int32_t forward = 0;
    std::int32_t backward = 0;
    std::int32_t weight = 0;
  };

  template <class Visit>
  void for_open(const Visit& visit) const {
    for (std::int32_t chunk = 0; chunk < chunks_; ++chunk) {
      const Counters& next = next_[static_cast<std::size_t>(chunk)];
      if (next.forward < micro_batches_ && admits(chunk)) visit(Action{Pass::forward, chunk, next.forward});
      if (next.backward < next.forward)
        visit(Action{rules_.splits_backward ? Pass::input_gradient : Pass::backward, chunk, next.backward});
      if (next.weight < next.backward) visit(Action{Pass::weight_gradient, chunk, next.weight});
    }
  }

  Choice first_other(const Progress& progress) const {
    Choice found;
    for_open([&](const Action& action) {
      if (action.pass == Pass::weight_gradient) return;
      const double start = std::max(free_, progress.ready(rank_, action));
      if (start < found.start) found = {action, start};
    });
    return found;
  }

  bool admits(std::int32_t chunk) const {
    if (rules_.memory_limit <= 0) return true;
    if (rules_.admission == Admission::one_through) return live_ + chunks_ - chunk <= rules_.memory_limit + 1e-9;
    double promised = live_;
    const std::int32_t entered = most_forward();
    for (const Counters& next : next_) promised += entered - next.forward;
    return next_[static_cast<std::size_t>(chunk)].forward < entered || promised + chunks_ <= rules_.memory_limit + 1e-9;
  }

  std::int32_t most_forward() const {
    std::int32_t most = 0;
    for (const Counters& next : next_) most = std::max(most, next.forward);
    return most;
  }

  int priority(const Action& action) const {
    if (action.pass == Pass::weight_gradient) return 2;
    const bool alternates = rules_.preference == Preference::alternate;
    const bool forward_first = alternates ? !last_was_forward_ : rules_.preference == Preference::forward;
    return (action.pass == Pass::forward) == forward_first ? 0 : 1;
  }

  // Of alike passes the one nearer to the loss.
  int order_in_chunks(const Action& action) const { return chunks_ - action.chunk; }

  GreedyRules rules_;
  double weight_share_ = 1;
  std::int64_t rank_ = 0;
  std::int32_t chunks_ = 1;
  std::int32_t micro_batches_ = 0;
  std::vector<Counters> next_;  // by chunk
  double live_ = 0;
  double free_ = 0;
  bool last_was_forward_ = false;
};

}  // namespace

std::optional<Schedule> greedy_schedule(const ScheduleShape& shape, StageLayout layout, const ScheduleCosts& costs,
                                        const GreedyRules& rules) {
  if (rules.memory_limit > 0 && rules.memory_limit < static_cast<double>(shape.chunks)) return std::nullopt;
  Progress progress(shape, layout, costs);
  std::vector<RankState> states;
  for (std::int64_t rank = 0; rank < shape.ranks; ++rank) states.emplace_back(shape, layout, rank, costs, rules);
  run_in_time_order(
      shape, layout, [&](std::size_t rank) { return states[rank].best(progress); },
      [&](std::size_t rank, const Choice& choice) {
        const double end = choice.start + progress.duration(static_cast<std::int64_t>(rank), choice.action);
        states[rank].take(choice, end);
        progress.finish(static_cast<std::int64_t>(rank), choice.action, end);
      });
  Schedule schedule{shape, layout, {}};
  for (RankState& state : states) schedule.ranks.push_back(std::move(state.order));
  return schedule;
}

Schedule merged_schedule(const ScheduleShape& shape, StageLayout layout, const ScheduleCosts& costs,
                         const std::vector<std::vector<RankOrder>>& pipelines_by_rank) {
  Progress progress(shape, layout, costs);
  Schedule schedule{shape, layout, std::vector<RankOrder>(pipelines_by_rank.size())};
  std::vector<std::vector<std::size_t>> next;
  std::vector<double> free(pipelines_by_rank.size(), 0);
  for (const auto& pipelines : pipelines_by_rank) next.emplace_back(pipelines.size(), 0);
  while (true) {
    std::tuple<double, bool, std::int32_t> least{never, false, 0};  // of two that start at once: backward, then later
    std::size_t rank = 0;
    std::size_t pipeline = 0;
    for (std::size_t r = 0; r < next.size(); ++r)
      for (std::size_t p = 0; p < next[r].size(); ++p) {
        if (next[r][p] == pipelines_by_rank[r][p].size()) continue;
        const Action& action = pipelines_by_rank[r][p][next[r][p]];
        const std::tuple<double, bool, std::int32_t> key{
            std::max(free[r], progress.ready(static_cast<std::int64_t>(r), action)), action.pass == Pass::forward,
            action.micro_batch};
        if (key >= least) continue;
        least = key;
        rank = r;
        pipeline = p;
      }
    if (std::get<0>(least) == never) return schedule;
    const Action& action = pipelines_by_rank[rank][pipeline][next[rank][pipeline]++];
    free[rank] = std::get<0>(least) + progress.duration(static_cast<std::int64_t>(rank), action);
    progress.finish(static_cast<std::int64_t>(rank), action, free[rank]);
    schedule.ranks[rank].push_back(action);
  }
}

namespace {

// One rank's list while it is run out of order.
class IdleRank {
 public:
  IdleRank(const Schedule& schedule, std::size_t rank, double weight_share, double limit, CoolDown cool_down)
      : left_(schedule.ranks[rank].begin(), schedule.ranks[rank].end()),
        rank_(static_cast<std::int64_t>(rank)),
        weight_share_(weight_share),
        limit_(limit),
        cool_down_(cool_down) {
    double live = 0;
    for (const Action& action : left_) {
      limit_ = std::max(limit_, live += activations_taken(action.pass, weight_share));
      if (enters(action)) ++entering_;
    }
  }

  // What to run next: the head of the list, or what fits before it can start.
  Choice best(const Progress& progress) {
    at_ = 0;
    if (left_.empty()) return {};
    if (entering_ == 0 && cool_down_ == CoolDown::gradients_first) return best_of_cool_down(progress);
    const Choice head = choice(progress, 0);
    Choice found = head;
    double most = live_;  // alive on the way from here to the action looked at
    double now = live_;
    // Nothing starts before the rank is free.
    for (std::size_t i = 0; i < std::min(window, left_.size()) && found.start > free_; ++i) {
      const Action& action = left_[i];
      const double taken = activations_taken(action.pass, weight_share_);
      if (i > 0 && action.pass == Pass::forward && most + taken <= limit_ + 1e-9) {
        const Choice other = choice(progress, i);
        if (other.start + progress.duration(rank_, action) <= head.start && other.start < found.start) {
          found = other;
          at_ = i;
        }
      }
      now += taken;
      most = std::max(most, now);
    }
    return found;
  }

  void take(double end) {
    if (enters(left_[at_])) --entering_;
    order.push_back(left_[at_]);
    live_ += activations_taken(left_[at_].pass, weight_share_);
    left_.erase(left_.begin() + static_cast<std::ptrdiff_t>(at_));
    free_ = end;
  }

  RankOrder order;

 private:
  static constexpr std::size_t window = 64;

  // Whether it is a micro-batch's first pass on this rank.
  static bool enters(const Action& action) { return action.pass == Pass::forward && action.chunk == 0; }

  // What can start first of all but weight gradients, or one of those that ends before.
  Choice best_of_cool_down(const Progress& progress) {
    Choice found;
    std::optional<std::size_t> weight;
    for (std::size_t i = 0; i < std::min(window, left_.size()) && found.start > free_; ++i) {
      const Pass pass = left_[i].pass;
      if (pass == Pass::weight_gradient && !weight) weight = i;
      if (pass == Pass::weight_gradient || (i > 0 && pass == Pass::forward && live_ + 1 > limit_ + 1e-9)) continue;
      const Choice other = choice(progress, i);
      if (other.start >= found.start) continue;
      found = other;
      at_ = i;
    }
    if (!weight || found.start <= free_) return found;
    const Choice filling = choice(progress, *weight);
    if (filling.start + progress.duration(rank_, filling.action) > found.start) return found;
    at_ = *weight;
    return filling;
  }

  Choice choice(const Progress& progress, std::size_t i) const {
    return {left_[i], std::max(free_, progress.ready(rank_, left_[i]))};
  }

  std::deque<Action> left_;
  std::int64_t rank_ = 0;
  double weight_share_ = 1;
  double limit_ = 0;
  std::int64_t entering_ = 0;  // micro-batches that are to come
  CoolDown cool_down_ = CoolDown::in_order;
  double live_ = 0;
  double free_ = 0;
  std::size_t at_ = 0;  // of what best() found
};

}  // namespace

Schedule with_idle_filled(const Schedule& schedule, const ScheduleCosts& costs, double limit, CoolDown cool_down) {
  Progress progress(schedule.shape, schedule.layout, costs);
  std::vector<IdleRank> ranks;
  for (std::size_t rank = 0; rank < schedule.ranks.size(); ++rank)
    ranks.emplace_back(schedule, rank, costs.weight_share, limit, cool_down);
  run_in_time_order(
      schedule.shape, schedule.layout, [&](std::size_t rank) { return ranks[rank].best(progress); },
      [&](std::size_t rank, const Choice& choice) {
        const double end = choice.start + progress.duration(static_cast<std::int64_t>(rank), choice.action);
        progress.finish(static_cast<std::int64_t>(rank), choice.action, end);
        ranks[rank].take(end);
      });
  Schedule filled{schedule.shape, schedule.layout, {}};
  for (IdleRank& rank : ranks) filled.ranks.push_back(std::move(rank.order));
  return filled;
}

}  // namespace echelon
