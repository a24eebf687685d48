#include <algorithm>
#include <array>
#include <utility>

#include "strategies/pipeline/timing.h"

namespace echelon {

namespace {

// The questions that the heuristic of arXiv:2401.10241, section 3.1, leaves open. All eight answers are tried, and the
// shortest span is kept.
struct Answers {
  bool delays_first_backward = false;  // by a forward pass that still fits into memory
  bool backward_first = false;         // a forward waits where it would hold up the next stage's gradient
  bool fills_short_gaps = false;       // with a weight gradient that is longer, where some stage idles more anyway
};
constexpr std::array<Answers, 8> all_answers = {{{false, true, true},
                                                 {false, true, false},
                                                 {false, false, true},
                                                 {false, false, false},
                                                 {true, true, true},
                                                 {true, true, false},
                                                 {true, false, true},
                                                 {true, false, false}}};

// One plan: micro-batch by micro-batch, a forward for the stages that want one, down the pipeline, then an input
// gradient for all, up the pipeline. Weight gradients go where a stage would idle, or where it needs their memory.
class Planner {
 public:
  Planner(const ScheduleShape& shape, const ScheduleCosts& costs, double limit, Answers answers)
      : shape_(shape), costs_(costs), limit_(limit + rounding), answers_(answers) {
    for (std::int64_t rank = 0; rank < shape.ranks; ++rank) {
      Stage& stage = stages_.emplace_back();
      stage.cost = costs.of(rank);
      stage.forward_ends.reserve(count(shape.micro_batches));
      stage.input_ends.reserve(count(shape.micro_batches));
    }
  }

  Schedule plan() {
    warm_up();
    for (std::int64_t micro_batch = 1; micro_batch < shape_.micro_batches; ++micro_batch) {
      run_forwards();
      run_inputs();
    }
    Schedule schedule{shape_, StageLayout::loop, {}};
    for (Stage& stage : stages_) {
      while (stage.weights < stage.input_ends.size()) run_weight(stage);
      schedule.ranks.push_back(std::move(stage.order));
    }
    return schedule;
  }

 private:
  // Sums of shares of a micro-batch are compared with the limit, which they may meet exactly.
  static constexpr double rounding = 1e-6;

  struct Stage {
    StageCost cost;
    double clock = 0;        // when it is free
    double activations = 0;  // micro-batches alive
    double idle = 0;         // since its first forward
    std::vector<double> forward_ends;
    std::vector<double> input_ends;
    std::size_t weights = 0;  // done
    RankOrder order;
  };

  static std::size_t count(std::int64_t n) { return static_cast<std::size_t>(n); }

  bool has_forward(const Stage& stage) const { return stage.forward_ends.size() < count(shape_.micro_batches); }
  static bool has_weight(const Stage& stage) { return stage.weights < stage.input_ends.size(); }

  // When its next forward's input (input gradient's gradient) is there.
  double forward_arrival(std::size_t s) const {
    return s == 0 ? 0 : stages_[s - 1].forward_ends[stages_[s].forward_ends.size()] + costs_.communication;
  }
  double input_arrival(std::size_t s) const {
    return s + 1 == stages_.size() ? 0 : stages_[s + 1].input_ends[stages_[s].input_ends.size()] + costs_.communication;
  }

  double worst_idle() const {
    double worst = 0;
    for (const Stage& stage : stages_) worst = std::max(worst, stage.idle);
    return worst;
  }

  void run(Stage& stage, Pass pass, std::size_t micro_batch, double arrival, double duration) {
    const double start = std::max(stage.clock, arrival);
    if (!stage.order.empty()) stage.idle += start - stage.clock;
    stage.clock = start + duration;
    stage.activations += activations_taken(pass, costs_.weight_share);
    stage.order.push_back({pass, 0, static_cast<std::int32_t>(micro_batch)});
  }
  void run_forward(std::size_t s) {
    Stage& stage = stages_[s];
    run(stage, Pass::forward, stage.forward_ends.size(), forward_arrival(s), stage.cost.forward);
    stage.forward_ends.push_back(stage.clock);
  }
  void run_input(std::size_t s) {
    Stage& stage = stages_[s];
    run(stage, Pass::input_gradient, stage.input_ends.size(), input_arrival(s), stage.cost.input);
    stage.input_ends.push_back(stage.clock);
  }
  void run_weight(Stage& stage) { run(stage, Pass::weight_gradient, stage.weights++, 0, stage.cost.weight); }

  // Weight gradients until `arrival`, and one beyond it where the wait would make this stage the most idle.
  void fill_gap(Stage& stage, double arrival) {
    while (has_weight(stage) && stage.clock + stage.cost.weight <= arrival) run_weight(stage);
    if (!has_weight(stage) || stage.clock >= arrival) return;
    if (answers_.fills_short_gaps || arrival - stage.clock > worst_idle() - stage.idle) run_weight(stage);
  }

  // Until the first gradient comes back, as many forwards as memory and time hold: each stage more than the next, or
  // all.
  void warm_up() {
    const std::size_t last = stages_.size() - 1;
    const auto micro_batches = count(shape_.micro_batches);
    for (std::size_t s = 0; s <= last; ++s) run_forward(s);
    std::vector<std::size_t> extra(stages_.size(), 0);
    double gradient = stages_[last].clock + stages_[last].cost.input;
    for (std::size_t s = last; s-- > 0;) {
      const Stage& stage = stages_[s];
      const double arrival = gradient + costs_.communication;
      double clock = stage.clock;
      double alive = stage.activations;
      while (stage.forward_ends.size() + extra[s] < micro_batches && alive + 1 <= limit_ &&
             (answers_.delays_first_backward ? clock < arrival : clock + stage.cost.forward <= arrival)) {
        clock += stage.cost.forward;
        alive += 1;
        ++extra[s];
      }
      gradient = std::max(clock, arrival) + stage.cost.input;
    }
    const auto runs_ahead = [&](std::size_t s) {
      const bool all = stages_[s].forward_ends.size() + extra[s] == micro_batches;
      return all ? extra[s] > extra[s - 1] : extra[s] > 0 && extra[s] >= extra[s - 1];
    };
    for (std::size_t s = 1; s <= last; ++s)
      while (runs_ahead(s)) --extra[s];
    for (std::size_t s = 0; s <= last; ++s)
      for (std::size_t k = 0; k < extra[s]; ++k) run_forward(s);
    for (std::size_t s = last + 1; s-- > 0;) run_input(s);
  }

  // Whether a forward now is better than waiting for the next stage's gradient.
  bool wants_forward(std::size_t s) const {
    const Stage& stage = stages_[s];
    if (!has_forward(stage)) return false;
    if (!answers_.backward_first || s + 1 == stages_.size()) return true;
    const Stage& next = stages_[s + 1];
    if (stage.forward_ends.size() < next.forward_ends.size() + 2) return true;
    const double gradient = next.clock + next.cost.forward + next.cost.input + costs_.communication;
    if (stage.clock >= gradient) return false;
    double end = stage.clock + stage.cost.forward;
    double alive = stage.activations + 1;
    for (std::size_t w = stage.weights; alive > limit_ && w < stage.input_ends.size(); ++w) {
      end += stage.cost.weight;
      alive -= costs_.weight_share;
    }
    return end <= gradient || gradient - stage.clock > worst_idle() - stage.idle;
  }

  void run_forwards() {
    std::vector<bool> wanted;
    for (std::size_t s = 0; s < stages_.size(); ++s) wanted.push_back(wants_forward(s));
    for (std::size_t s = stages_.size() - 1; s-- > 0;) wanted[s] = wanted[s] && wanted[s + 1];
    for (std::size_t s = 0; s < stages_.size(); ++s) {
      if (!wanted[s]) continue;
      Stage& stage = stages_[s];
      while (stage.activations + 1 > limit_ && has_weight(stage)) run_weight(stage);
      if (s > 0) fill_gap(stage, forward_arrival(s));
      run_forward(s);
    }
  }

  void run_inputs() {
    for (std::size_t s = stages_.size(); s-- > 0;) {
      Stage& stage = stages_[s];
      if (s + 1 < stages_.size()) fill_gap(stage, input_arrival(s));
      if (s == 0 && !has_forward(stage))
        while (has_weight(stage)) run_weight(stage);
      run_input(s);
    }
  }

  const ScheduleShape& shape_;
  const ScheduleCosts& costs_;
  double limit_;
  Answers answers_;
  std::vector<Stage> stages_;
};

Schedule planned(const ScheduleShape& shape, const ScheduleCosts& costs, std::int64_t multiple) {
  const double limit = static_cast<double>(multiple * shape.ranks);
  Schedule best;
  double least = 0;
  for (const Answers answers : all_answers) {
    Schedule candidate = Planner(shape, costs, limit, answers).plan();
    const double span = timing_of(candidate, costs).span;
    if (!best.ranks.empty() && span >= least) continue;
    least = span;
    best = std::move(candidate);
  }
  return best;
}

}  // namespace

// Each rank may hold as many activations as 1F1B's first, and uses them.
Schedule zero_bubble_1p(const ScheduleShape& shape, const ScheduleCosts& costs) {
  return planned(shape, costs, 1);
}

// Twice as many.
Schedule zero_bubble_2p(const ScheduleShape& shape, const ScheduleCosts& costs) {
  return planned(shape, costs, 2);
}

}  // namespace echelon
