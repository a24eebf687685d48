#include "strategies/pipeline/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "sim/base/error.h"
#include "strategies/pipeline/timing.h"

namespace echelon {

namespace {

bool is_backward(Pass pass) {
  return pass == Pass::backward || pass == Pass::input_gradient;
}

constexpr double never = VocabularyTimes::never;

// Embeddings run so many micro-batches ahead of the first stage, which hides their all-reduce (section 5.3).
constexpr std::int32_t embedding_lead = 2;

// Runs the base schedule's lists in time order and puts the vocabulary's passes where they find each rank. Those of
// the output layer come in slots, T of one micro-batch and S of the next: on the last stage's rank right before its
// next forward pass, so that the broadcast runs beside a backward and the sums beside a forward pass; elsewhere where
// the rank is free first after the broadcast, which then comes before that rank's own slot ends. Order of calls: run,
// once.
class Planner {
 public:
  Planner(const Schedule& base, VocabularyParallel method, const ScheduleCosts& costs)
      : base_(base),
        method_(method),
        costs_(costs),
        stages_(base.shape.ranks * base.shape.chunks),
        last_rank_(static_cast<std::size_t>(place_of(base.layout, base.shape, stages_ - 1).rank)),
        events_(base.shape),
        ends_(2 * static_cast<std::size_t>(stages_ * base.shape.micro_batches), never),
        ranks_(base.ranks.size()) {
    for (std::int32_t j = 0; j < embedding_lead; ++j) offer_embedding(Pass::forward, j, 0);
  }

  Schedule run() {
    while (true) {
      std::size_t rank = 0;
      double least = never;
      for (std::size_t r = 0; r < ranks_.size(); ++r) {
        if (ranks_[r].stale) refresh(r);
        if (ranks_[r].start < least) {
          least = ranks_[r].start;
          rank = r;
        }
      }
      if (least == never) break;
      take(rank);
    }
    Schedule schedule = base_;
    schedule.vocabulary = method_;
    for (std::size_t r = 0; r < ranks_.size(); ++r) {
      SIM_CHECK(ranks_[r].next == base_.ranks[r].size(), "rank {} stops at action {}", r, ranks_[r].next);
      schedule.ranks[r] = std::move(ranks_[r].order);
    }
    return schedule;
  }

 private:
  struct Service {
    Action action;
    double from = 0;  // it is not looked at before
  };
  struct RankState {
    std::size_t next = 0;  // of the base list
    std::deque<Service> output;
    std::deque<Service> embedding;
    double free = 0;
    RankOrder order;
    // What it would do next.
    bool stale = true;
    std::deque<Service>* queue = nullptr;  // null: the base list
    double start = never;
  };

  std::int32_t micro_batches() const { return static_cast<std::int32_t>(base_.shape.micro_batches); }

  std::int64_t stage(std::size_t rank, const Action& action) const {
    return stage_of(base_.layout, base_.shape, static_cast<std::int64_t>(rank), action.chunk);
  }
  StageEnds ends_of(std::int64_t stage) const { return {stage == 0, stage + 1 == stages_}; }

  double& end_of(std::int64_t stage, std::int32_t micro_batch, bool forward) {
    return ends_[static_cast<std::size_t>((forward ? stages_ : 0) + stage) *
                     static_cast<std::size_t>(base_.shape.micro_batches) +
                 static_cast<std::size_t>(micro_batch)];
  }

  double duration(std::int64_t stage, const Action& action) const {
    return action_duration(costs_, method_, stage, action);
  }

  double from_stage(std::size_t rank, std::int64_t other, std::int32_t micro_batch, bool forward) {
    const auto there = static_cast<std::size_t>(place_of(base_.layout, base_.shape, other).rank);
    return end_of(other, micro_batch, forward) + (there == rank ? 0 : costs_.communication);
  }

  double ready(std::size_t rank, const Action& action) {
    const std::int64_t here = stage(rank, action);
    const StageEnds ends = ends_of(here);
    double time = 0;
    if (const auto event = awaited_event(method_, action, ends)) time = events_.at(*event, action.micro_batch);
    if (action.part != ActionPart::layers) return time;
    if (action.pass == Pass::forward && !ends.first)
      time = std::max(time, from_stage(rank, here - 1, action.micro_batch, true));
    if (is_backward(action.pass) && !ends.last)
      time = std::max(time, from_stage(rank, here + 1, action.micro_batch, false));
    if (action.pass != Pass::forward)
      time = std::max(time, end_of(here, action.micro_batch, action.pass != Pass::weight_gradient));
    return time;
  }

  void offer(RankState& state, std::deque<Service>* queue, double start) {
    if (start >= state.start) return;
    state.start = start;
    state.queue = queue;
  }

  void refresh(std::size_t rank) {
    RankState& state = ranks_[rank];
    state.stale = false;
    state.start = never;
    if (rank == last_rank_) open_slots();
    for (std::deque<Service>* queue : {&state.output, &state.embedding}) {
      if (queue->empty()) continue;
      const Service& service = queue->front();
      offer(state, queue, std::max({state.free, service.from, ready(rank, service.action)}));
    }
    if (state.next == base_.ranks[rank].size()) return;
    const Action& action = base_.ranks[rank][state.next];
    if (rank == last_rank_ && is_last_forward(rank, action) && !state.output.empty()) return;
    offer(state, nullptr, std::max(state.free, ready(rank, action)));
  }

  bool is_last_forward(std::size_t rank, const Action& action) const {
    return action.pass == Pass::forward && stage(rank, action) + 1 == stages_;
  }

  // On the last stage's rank slot k opens where the list comes to forward pass k + 1, the last two once there is none.
  void open_slots() {
    RankState& state = ranks_[last_rank_];
    const RankOrder& list = base_.ranks[last_rank_];
    while (opened_ <= micro_batches() && opened_ < forwards_) {
      const bool comes = state.next < list.size() && is_last_forward(last_rank_, list[state.next]);
      if (!comes && forwards_ < micro_batches()) return;
      open(state, opened_++, 0);
    }
    if (forwards_ == micro_batches() && opened_ == micro_batches()) open(state, opened_++, 0);
  }

  // T of the micro-batch before and S of `slot`.
  void open(RankState& state, std::int32_t slot, double from) {
    if (slot > 0) state.output.push_back({output_action(Pass::backward, slot - 1), from});
    if (slot < micro_batches()) state.output.push_back({output_action(Pass::forward, slot), from});
    state.stale = true;
  }

  static Action output_action(Pass pass, std::int32_t micro_batch) {
    Action action{pass, 0, micro_batch};
    action.part = ActionPart::output;
    return action;
  }

  void offer_embedding(Pass pass, std::int32_t micro_batch, double from) {
    if (micro_batch >= micro_batches()) return;
    Action action{pass, 0, micro_batch};
    action.part = ActionPart::embedding;
    for (RankState& state : ranks_) {
      state.embedding.push_back({action, from});
      state.stale = true;
    }
  }

  void take(std::size_t rank) {
    RankState& state = ranks_[rank];
    const bool of_list = state.queue == nullptr;
    const Action action = of_list ? base_.ranks[rank][state.next++] : state.queue->front().action;
    if (!of_list) state.queue->pop_front();
    const std::int64_t here = stage(rank, action);
    const double start = state.start;
    state.free = start + duration(here, action);
    state.order.push_back(action);
    state.stale = true;
    if (action.part == ActionPart::layers) finish_layers(rank, here, action, start);
    if (const auto event = event_of(action, ends_of(here)))
      if (events_.finish(*event, action.micro_batch, state.free + costs_.communication))
        for (RankState& other : ranks_) other.stale = true;
  }

  void finish_layers(std::size_t rank, std::int64_t here, const Action& action, double start) {
    const double end = ranks_[rank].free;
    const bool forward = action.pass == Pass::forward;
    if (forward || is_backward(action.pass)) end_of(here, action.micro_batch, forward) = end;
    for (const std::int64_t other : {here - 1, here + 1})
      if (other >= 0 && other < stages_)
        ranks_[static_cast<std::size_t>(place_of(base_.layout, base_.shape, other).rank)].stale = true;
    if (forward && here == 0) offer_embedding(Pass::forward, action.micro_batch + embedding_lead, start);
    if (forward && here + 1 == stages_) {
      ++forwards_;
      open_others(action.micro_batch, end + costs_.communication);
    }
    if (is_backward(action.pass) && here == 0) offer_embedding(Pass::backward, action.micro_batch, end);
  }

  // The other ranks' slots open when the last stage has made what they work on, the very last behind the one before.
  void open_others(std::int32_t slot, double from) {
    for (std::size_t r = 0; r < ranks_.size(); ++r) {
      if (r == last_rank_) continue;
      open(ranks_[r], slot, from);
      if (slot + 1 == micro_batches()) open(ranks_[r], slot + 1, from);
    }
  }

  const Schedule& base_;
  VocabularyParallel method_;
  const ScheduleCosts& costs_;
  std::int64_t stages_ = 0;
  std::size_t last_rank_ = 0;
  VocabularyTimes events_;
  std::vector<double> ends_;
  std::vector<RankState> ranks_;
  std::int32_t forwards_ = 0;  // of the last stage
  std::int32_t opened_ = 0;    // slots of the last stage's rank
};

}  // namespace

std::optional<VocabularyEvent> awaited_event(VocabularyParallel method, const Action& action, StageEnds ends) {
  const bool forward = action.pass == Pass::forward;
  switch (action.part) {
    case ActionPart::output:
      return forward ? VocabularyEvent::hidden : VocabularyEvent::sums;
    case ActionPart::embedding:
      return forward ? std::nullopt : std::optional(VocabularyEvent::returned);
    case ActionPart::layers:
      break;
  }
  if (forward && ends.first) return VocabularyEvent::embedded;
  if (is_backward(action.pass) && ends.last)
    return method == VocabularyParallel::vocab_2 ? VocabularyEvent::sums : VocabularyEvent::gradient;
  return std::nullopt;
}

std::optional<VocabularyEvent> event_of(const Action& action, StageEnds ends) {
  const bool forward = action.pass == Pass::forward;
  switch (action.part) {
    case ActionPart::output:
      return forward ? VocabularyEvent::sums : VocabularyEvent::gradient;
    case ActionPart::embedding:
      return forward ? std::optional(VocabularyEvent::embedded) : std::nullopt;
    case ActionPart::layers:
      break;
  }
  if (forward && ends.last) return VocabularyEvent::hidden;
  if (is_backward(action.pass) && ends.first) return VocabularyEvent::returned;
  return std::nullopt;
}

VocabularyTimes::VocabularyTimes(const ScheduleShape& shape)
    : micro_batches_(static_cast<std::size_t>(shape.micro_batches)) {
  for (std::size_t event = 0; event < vocabulary_events; ++event) {
    const auto which = static_cast<VocabularyEvent>(event);
    const bool one = which == VocabularyEvent::hidden || which == VocabularyEvent::returned;
    states_.insert(states_.end(), micro_batches_, State{one ? 1 : shape.ranks, 0});
  }
}

double VocabularyTimes::at(VocabularyEvent event, std::int32_t micro_batch) const {
  const State& found = states_[slot(event, micro_batch)];
  if (found.missing > 0) return never;
  return found.end;
}

bool VocabularyTimes::finish(VocabularyEvent event, std::int32_t micro_batch, double end) {
  State& found = states_[slot(event, micro_batch)];
  found.end = std::max(found.end, end);
  return --found.missing == 0;
}

std::int64_t vocabulary_barriers(VocabularyParallel method) {
  return method == VocabularyParallel::vocab_1 ? 2 : method == VocabularyParallel::vocab_2 ? 1 : 0;
}

ShapeRefusal vocabulary_refusal(VocabularyParallel method, ScheduleKind kind, std::int64_t ranks) {
  if (method == VocabularyParallel::none) return std::nullopt;
  if (ranks == 1)
    return fmt::format(
        "vocabulary_parallel {} divides over pipeline ranks, of which there is one; vocabulary_parallel none would do",
        name_of(method));
  const bool synchronous = method == VocabularyParallel::interlaced;
  const bool of_two_halves = kind == ScheduleKind::v_half || kind == ScheduleKind::v_min;
  if (kind == ScheduleKind::one_f_one_b || (of_two_halves && !synchronous)) return std::nullopt;
  return fmt::format("vocabulary_parallel {} is for schedule{}, not {}; vocabulary_parallel none would do",
                     name_of(method), synchronous ? " 1f1b" : "s 1f1b, v_half and v_min", name_of(kind));
}

Schedule build_vocabulary_schedule(VocabularyParallel method, ScheduleKind kind, ScheduleShape shape,
                                   const ScheduleCosts& costs) {
  if (method == VocabularyParallel::interlaced) return interlaced_schedule(shape, costs);
  shape.delay = vocabulary_barriers(method);
  return Planner(build_schedule(kind, shape, costs), method, costs).run();
}

}  // namespace echelon
