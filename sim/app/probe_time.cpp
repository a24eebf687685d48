#include "sim/app/probe_time.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "sim/app/tails.h"

namespace echelon {

namespace {

// What one rank's tasks add up to over all micro-batches.
class RankSums {
 public:
  RankSums(const Replayed& replayed, const ProbeShape& shape, std::size_t rank)
      : replayed_(replayed), shape_(shape), tasks_(replayed.lowering.graph.programs[rank].tasks) {
    for (std::size_t i = 0; i < tasks_.size(); ++i) {
      if (tasks_[i].stream != Stream::compute || !is_pass(tasks_[i].kind)) continue;
      if (!first_) first_ = i;
      last_ = i;
      if (tasks_[i].kind != TaskKind::weight_gradient) last_input_ = i;
    }
  }

  std::optional<std::size_t> first_pass() const { return first_; }
  std::size_t last_pass() const { return last_; }
  std::size_t last_input() const { return last_input_; }  // the last pass that is no weight gradient

  // From the first pass to the last, all that runs between.
  Seconds passes() const {
    return sum(*first_, last_, [this](const Task& task) { return task.stream == Stream::compute && recurs(task); });
  }
  // From the first pass to the last input gradient, without weight gradients and what follows those.
  Seconds passes_to_input() const {
    return sum(*first_, last_input_, [this](const Task& task) {
      return task.stream == Stream::compute && recurs(task) && task.kind != TaskKind::weight_gradient &&
             task.kind != TaskKind::gradient_reduce;
    });
  }
  Seconds sent_data() const {
    return sum(0, tasks_.size() - 1, [](const Task& task) { return task.stream == Stream::data; });
  }
  // The optimizer's step and the gather behind it, in whatever order the passes ended.
  Seconds closing() const {
    if (last_ + 1 >= tasks_.size()) return Seconds(0);
    return sum(last_ + 1, tasks_.size() - 1, [](const Task& task) {
      return task.stream == Stream::compute &&
             (task.kind == TaskKind::optimizer || task.kind == TaskKind::parameter_gather);
    });
  }
  Seconds host() const {
    Seconds sum;
    for (const Task& task : tasks_)
      if (task.stream == Stream::compute) sum += time_of(task).host.seconds() * weight(task);
    return sum;
  }
  // One pass of the first micro-batch through the first chunk.
  Seconds first_pass_of(TaskKind kind) const {
    Seconds sum;
    for (const Task& task : tasks_)
      if (task.kind == kind && task.chunk == 0 && task.micro_batch == 0) sum += time_of(task).device.seconds();
    return sum;
  }
  // Without what layers send.
  Seconds computing() const {
    Seconds sum;
    for (const Task& task : tasks_) {
      if (task.stream != Stream::compute || !is_pass(task.kind)) continue;
      const WorkShare& share = replayed_.prices.shares[static_cast<std::size_t>(task.work)];
      sum += (share.compute + share.recompute) * weight(task);
    }
    return sum;
  }

 private:
  const WorkTime& time_of(const Task& task) const {
    return replayed_.prices.times[static_cast<std::size_t>(task.work)];
  }
  // Whether any order of passes has the task.
  bool recurs(const Task& task) const { return !shape_.may_share_gathers || task.kind != TaskKind::parameter_gather; }
  double weight(const Task& task) const { return static_cast<double>(shape_.weight(task)); }

  // A pass before which the host waits for the device cannot end before all its launches either.
  Seconds duration(const Task& task) const {
    const WorkTime& time = time_of(task);
    const bool launches_late = task.stream == Stream::compute && task.syncs_host && task.layer < 0;
    return (launches_late ? std::max(time.device, time.host) : time.device).seconds();
  }

  template <class Counts>
  Seconds sum(std::size_t first, std::size_t last, const Counts& counts) const {
    Seconds sum;
    for (std::size_t i = first; i <= last; ++i)
      if (counts(tasks_[i])) sum += duration(tasks_[i]) * weight(tasks_[i]);
    return sum;
  }

  const Replayed& replayed_;
  const ProbeShape& shape_;
  const std::vector<Task>& tasks_;
  std::optional<std::size_t> first_;
  std::size_t last_ = 0;
  std::size_t last_input_ = 0;
};

class TimeBound {
 public:
  TimeBound(const Replayed& replayed, const ProbeShape& shape)
      : replayed_(replayed),
        shape_(shape),
        tails_(replayed, shape.backward == Backward::whole ? TailCount::all : TailCount::computed) {
    for (std::size_t rank = 0; rank < replayed.lowering.graph.programs.size(); ++rank)
      ranks_.emplace_back(replayed, shape, rank);
    for (const RankSums& rank : ranks_) longest_closing_ = std::max(longest_closing_, rank.closing());
  }

  Seconds least() const {
    Seconds least;
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank) least = std::max(least, of(rank));
    return least;
  }

 private:
  Seconds of(std::size_t rank) const {
    const RankSums& sums = ranks_[rank];
    if (!sums.first_pass()) return Seconds(0);
    Seconds least = sums.host();
    if (!shape_.empties()) return std::max(least, sums.passes() + sums.closing());
    if (shape_.from_both_ends()) return std::max(least, sums.passes() + longest_closing_ + shortest_way(rank));
    const Seconds lead = replayed_.timeline.tasks[rank][*sums.first_pass()].start.seconds();
    if (shape_.backward == Backward::whole)
      return std::max({least, lead + sums.passes() + tail(rank, sums.last_pass()), sending(rank)});
    least = std::max(least, lead + sums.passes() + longest_closing_);
    if (shape_.backward == Backward::split)
      least = std::max(least, lead + sums.passes_to_input() + tail(rank, sums.last_input()));
    return least;
  }

  // Of a rank in pipelines from both ends: the passes before its first one and behind its last one, in whichever
  // pipeline they are fewest, without messages. A mixed schedule may end with weight gradients.
  Seconds shortest_way(std::size_t rank) const {
    ScheduleShape shape;
    shape.ranks = static_cast<std::int64_t>(ranks_.size());
    shape.chunks = shape_.copies;
    std::int64_t fewest = shape.ranks;
    for (std::int64_t copy = 0; copy < shape_.copies; ++copy)
      fewest = std::min(fewest, stage_of(shape_.layout, shape, static_cast<std::int64_t>(rank), copy) % shape.ranks);
    Seconds way;
    for (std::int64_t before = 0; before < fewest; ++before) {
      const RankSums& sums = ranks_[static_cast<std::size_t>(before)];  // where the first copy has that stage
      way += sums.first_pass_of(TaskKind::forward);
      if (shape_.backward == Backward::whole) way += sums.first_pass_of(TaskKind::backward);
    }
    return way;
  }

  Seconds tail(std::size_t rank, std::size_t task) const { return tails_.of(rank, task).seconds(); }

  // Without stages the order of the probe is the schedule's.
  Seconds sending(std::size_t rank) const { return ranks_.size() == 1 ? ranks_[rank].sent_data() : Seconds(0); }

  const Replayed& replayed_;
  const ProbeShape& shape_;
  Tails tails_;
  std::vector<RankSums> ranks_;
  Seconds longest_closing_;  // every rank's optimizer waits for all ranks
};

}  // namespace

Seconds least_time(const Replayed& replayed, const ProbeShape& shape) {
  return TimeBound(replayed, shape).least();
}

Seconds least_computing(const Replayed& replayed, const ProbeShape& shape) {
  Seconds most;
  for (std::size_t rank = 0; rank < replayed.lowering.graph.programs.size(); ++rank)
    most = std::max(most, RankSums(replayed, shape, rank).computing());
  return most;
}

}  // namespace echelon
