#include "sim/engine/full_replay.h"

#include <algorithm>
#include <array>
#include <utility>

#include "sim/base/error.h"
#include "sim/engine/beside_data.h"
#include "sim/engine/chain_mark.h"
#include "sim/engine/full_flow_replay.h"
#include "sim/engine/rank_speed.h"

namespace echelon {

namespace {

// What the ranks of one stage carry from step to step, by rank of the stage.
struct StageState {
  std::array<std::vector<ChainMark>, stream_count> ends;  // of the last task on each stream
  std::vector<Time> hosts;                                // when the host has issued all so far
  std::vector<Time> busy;                                 // compute stream
  std::vector<DataInterval> data;    // by data task, by tensor coordinate; only where compute is slowed
  std::vector<std::int32_t> cursor;  // first data task that may still run
};

class Run {
 public:
  Run(const TaskGraph& graph, const ReplayPlan& plan, const std::vector<WorkTime>& times,
      const std::vector<WorkParts>& parts, const StageLayouts& layouts, const ReplayOptions& options,
      const RankSpeed& speed)
      : graph_(graph),
        plan_(plan),
        times_(times),
        parts_(parts),
        layouts_(layouts),
        options_(options),
        speed_(speed),
        stages_(graph.programs.size()),
        slots_(static_cast<std::size_t>(plan.slots)) {
    for (std::size_t p = 0; p < stages_.size(); ++p) prepare(p);
    for (Slot& slot : slots_) slot.ends.resize(layouts.most_ranks());
  }

  FullTimeline walk() {
    for (std::size_t s = 0; s < plan_.steps.size(); ++s) walk_step(s);
    return timeline();
  }

 private:
  // Ends that later steps wait for, by rank of the program.
  struct Slot {
    std::vector<ChainMark> ends;
    std::size_t program = 0;
  };

  void prepare(std::size_t program) {
    StageState& stage = stages_[program];
    const std::size_t width = layouts_.width(program);
    const auto data_tasks = static_cast<std::size_t>(plan_.data_tasks[program]);
    for (auto& ends : stage.ends) ends.resize(width);
    stage.hosts.resize(width);
    stage.busy.resize(width);
    if (options_.slowdown(program) <= 1 || data_tasks == 0) return;
    stage.data.resize(data_tasks * static_cast<std::size_t>(layouts_.of(program).tensor));
    stage.cursor.resize(width);
  }

  void walk_step(std::size_t s) {
    step_ = &plan_.steps[s];
    number_ = s;
    task_ = &graph_.task(step_->task);
    program_ = static_cast<std::size_t>(step_->task.program);
    stage_ = &stages_[program_];
    const RankLayout& layout = layouts_.of(program_);
    tensor_ = static_cast<std::size_t>(layout.tensor);
    width_ = static_cast<std::size_t>(layout.stage_ranks());
    const auto lockstep = static_cast<std::size_t>(layout.tensor * layout.context * layout.lockstep_data);
    work_ = &times_[static_cast<std::size_t>(task_->work)];
    stretched_ = &parts_[static_cast<std::size_t>(task_->work)];
    inputs_ = plan_.inputs.data() + step_->first_input;
    inputs_end_ =
        plan_.inputs.data() +
        (s + 1 < plan_.steps.size() ? static_cast<std::size_t>(plan_.steps[s + 1].first_input) : plan_.inputs.size());
    const TaskScope scope = scope_of(task_->kind);
    gate_ = scope == TaskScope::barrier ? latest_of_all() : ChainMark();
    if (scope == TaskScope::lockstep)
      for (std::size_t first = 0; first < width_; first += lockstep) run_group({first, 1, lockstep});
    else if (scope == TaskScope::data_group)
      for (std::size_t first = 0; first < tensor_; ++first) run_group({first, tensor_, width_ / tensor_});
    else
      for (std::size_t first = 0; first < width_; ++first) run_group({first, 1, 1});
  }

  // What every rank of a barrier waits for.
  ChainMark latest_of_all() const {
    ChainMark latest;
    for (std::size_t rank = 0; rank < width_; ++rank) raise(latest, ready(rank));
    for (const std::int32_t* input = inputs_; input != inputs_end_; ++input) {
      const Slot& slot = slots_[static_cast<std::size_t>(*input)];
      for (std::size_t rank = 0; rank < layouts_.width(slot.program); ++rank) raise(latest, slot.ends[rank]);
    }
    return latest;
  }

  static void raise(ChainMark& latest, const ChainMark& other) {
    if (other.time > latest.time) latest = other;
  }

  // When the rank's stream is free and its dependences have ended.
  ChainMark ready(std::size_t rank) const {
    ChainMark latest = stage_->ends[static_cast<std::size_t>(task_->stream)][rank];
    for (const std::int32_t* input = inputs_; input != inputs_end_; ++input) {
      const Slot& slot = slots_[static_cast<std::size_t>(*input)];
      if (layouts_.alike()) {
        raise(latest, slot.ends[rank]);
        continue;
      }
      const RankGroup there = layouts_.counterparts(program_, rank, slot.program);
      for (std::size_t i = 0; i < there.count; ++i) raise(latest, slot.ends[there.first + i]);
    }
    return latest;
  }

  // When the rank alone could start: its host has issued the task, too.
  ChainMark ready_and_issued(std::size_t rank) {
    ChainMark latest = ready(rank);
    raise(latest, gate_);
    if (task_->stream != Stream::compute) return latest;
    Time& host = stage_->hosts[rank];
    const Time issue = task_->syncs_host ? std::max(host, latest.time) : host;
    host = issue + work_->host;
    latest.time = std::max(latest.time, issue);
    return latest;
  }

  void run_group(const RankGroup& group) {
    ChainMark start;
    start.time = Time::from_picoseconds(-1);
    for (std::size_t i = 0, rank = group.first; i < group.count; ++i, rank += group.stride)
      raise(start, ready_and_issued(rank));
    const ChainMark end = run_members(group, start);
    std::vector<ChainMark>& ends = stage_->ends[static_cast<std::size_t>(task_->stream)];
    for (std::size_t i = 0, rank = group.first; i < group.count; ++i, rank += group.stride) ends[rank] = end;
    if (step_->slot >= 0) {
      Slot& slot = slots_[static_cast<std::size_t>(step_->slot)];
      slot.program = program_;
      for (std::size_t i = 0, rank = group.first; i < group.count; ++i, rank += group.stride) slot.ends[rank] = end;
    }
    if (task_->stream == Stream::data && !stage_->data.empty())
      for (std::size_t t = group.first; t < std::min(tensor_, group.first + group.count * group.stride);
           t += group.stride)
        stage_->data[static_cast<std::size_t>(step_->data_tasks) * tensor_ + t] = {start.time, end.time};
  }

  // The end of the slowest member.
  ChainMark run_members(const RankGroup& group, const ChainMark& start) {
    ChainMark end = start;
    Time delay;
    std::size_t slowest = group.first;
    for (std::size_t i = 0, rank = group.first; i < group.count; ++i, rank += group.stride) {
      const Time own = speed_.varies() ? own_duration(rank, start.time) : work_->device;
      Time own_end = start.time + own;
      if (task_->stream == Stream::compute) {
        own_end = beside_data(rank, start.time, own);
        stage_->busy[rank] += own_end - start.time;
      }
      if (own_end <= end.time) continue;
      end.time = own_end;
      delay = own - work_->device;
      slowest = rank;
    }
    end.lose(delay, static_cast<std::int32_t>(layouts_.engine_rank(program_, slowest)),
             static_cast<std::int32_t>(number_));
    return end;
  }

  Time own_duration(std::size_t rank, Time start) const {
    const std::int64_t self = layouts_.engine_rank(program_, rank);
    std::int64_t receiver = self;
    if (step_->receiver >= 0) {
      const auto to = static_cast<std::size_t>(step_->receiver);
      receiver = layouts_.engine_rank(to, layouts_.counterparts(program_, rank, to).first);
    }
    return speed_.duration(work_->device, *stretched_, static_cast<std::int64_t>(number_), self, receiver, start);
  }

  // The end of a compute task: its last kernel was issued, and while the rank's data stream runs it progresses slower.
  Time beside_data(std::size_t rank, Time start, Time own) {
    const Time host = stage_->hosts[rank];
    if (stage_->data.empty()) return std::max(start + own, host);
    return end_beside_data({start, own, host}, options_.slowdown(program_), step_->data_tasks, stage_->cursor[rank],
                           [&](std::int32_t task) { return interval(task, rank); });
  }

  const DataInterval& interval(std::int32_t data_task, std::size_t rank) const {
    return stage_->data[static_cast<std::size_t>(data_task) * tensor_ + rank % tensor_];
  }

  FullTimeline timeline() const {
    FullTimeline result;
    ChainMark last;
    for (const StageState& stage : stages_)
      for (std::size_t rank = 0; rank < stage.hosts.size(); ++rank) {
        ChainMark end;
        for (const auto& ends : stage.ends) raise(end, ends[rank]);
        raise(last, end);
        result.rank_ends.push_back(end.time);
      }
    result.end = last.time;
    for (const StageState& stage : stages_)
      for (const Time busy : stage.busy) result.rank_idle.push_back(result.end - busy);
    if (last.rank >= 0)
      result.pace =
          PaceSetter{last.rank, last.lost, plan_.steps[static_cast<std::size_t>(last.longest_step)].task, last.longest};
    return result;
  }

  const TaskGraph& graph_;
  const ReplayPlan& plan_;
  const std::vector<WorkTime>& times_;
  const std::vector<WorkParts>& parts_;
  const StageLayouts& layouts_;
  const ReplayOptions& options_;
  const RankSpeed& speed_;
  std::vector<StageState> stages_;
  std::vector<Slot> slots_;

  // Of the step that is being walked.
  const ReplayStep* step_ = nullptr;
  std::size_t number_ = 0;
  const Task* task_ = nullptr;
  std::size_t program_ = 0;
  StageState* stage_ = nullptr;
  std::size_t tensor_ = 1;  // ranks
  std::size_t width_ = 1;
  const WorkTime* work_ = nullptr;
  const WorkParts* stretched_ = nullptr;
  const std::int32_t* inputs_ = nullptr;
  const std::int32_t* inputs_end_ = nullptr;
  ChainMark gate_;
};

}  // namespace

TaskScope scope_of(TaskKind kind) {
  switch (kind) {
    case TaskKind::forward:
    case TaskKind::backward:
    case TaskKind::input_gradient:
    case TaskKind::weight_gradient:
    case TaskKind::output_forward:
    case TaskKind::output_backward:
    case TaskKind::embedding_forward:
    case TaskKind::embedding_backward:
      return TaskScope::lockstep;
    case TaskKind::parameter_gather:
    case TaskKind::gradient_reduce:
      return TaskScope::data_group;
    case TaskKind::optimizer:
      return TaskScope::barrier;
    case TaskKind::send_activation:
    case TaskKind::send_gradient:
    case TaskKind::copy_to_host:
    case TaskKind::copy_from_host:
    case TaskKind::vocabulary_exchange:
    case TaskKind::evict_activations:
    case TaskKind::return_activations:
      return TaskScope::rank;
  }
  return TaskScope::rank;
}

RankGroup group_of(const RankLayout& layout, TaskScope scope, std::size_t stage_rank) {
  const auto tensor = static_cast<std::size_t>(layout.tensor);
  const auto width = static_cast<std::size_t>(layout.stage_ranks());
  const auto lockstep = static_cast<std::size_t>(layout.tensor * layout.context * layout.lockstep_data);
  switch (scope) {
    case TaskScope::rank:
      return {stage_rank, 1, 1};
    case TaskScope::lockstep:
      return {stage_rank / lockstep * lockstep, 1, lockstep};
    case TaskScope::data_group:
      return {stage_rank % tensor, tensor, width / tensor};
    case TaskScope::barrier:
      break;
  }
  return {0, 1, width};
}

StageLayouts::StageLayouts(std::vector<RankLayout> layouts) : layouts_(std::move(layouts)), first_{0} {
  for (const RankLayout& layout : layouts_) {
    SIM_CHECK(layout.data % layout.lockstep_data == 0, "{} data ranks in groups of {}", layout.data,
              layout.lockstep_data);
    first_.push_back(first_.back() + layout.stage_ranks());
    most_ranks_ = std::max(most_ranks_, static_cast<std::size_t>(layout.stage_ranks()));
    alike_ = alike_ && layout.tensor == layouts_.front().tensor;
  }
}

RankGroup StageLayouts::counterparts(std::size_t from, std::size_t rank, std::size_t to) const {
  if (alike_) return {rank, 1, 1};
  const auto ours = static_cast<std::size_t>(of(from).tensor);
  const auto theirs = static_cast<std::size_t>(of(to).tensor);
  const std::size_t place = rank % ours;
  const std::size_t first = place * theirs / ours;
  const std::size_t end = ((place + 1) * theirs + ours - 1) / ours;
  return {rank / ours * theirs + first, 1, end - first};
}

FullReplay::FullReplay(const TaskGraph& graph, const ReplayPlan& plan, const std::vector<WorkTime>& times,
                       const std::vector<WorkParts>& parts, StageLayouts layouts, const ReplayOptions& options)
    : graph_(&graph), plan_(&plan), times_(&times), parts_(&parts), layouts_(std::move(layouts)), options_(options) {
  SIM_CHECK(times.size() == parts.size(), "{} works have times and {} have parts", times.size(), parts.size());
}

FullTimeline FullReplay::run(const RankVariation& variation, std::int64_t number) const {
  if (options_.traffic != nullptr)
    return replay_with_flows(*graph_, *plan_, *times_, *parts_, layouts_, options_, variation, number);
  const RankSpeed speed(variation, number, layouts_.ranks());
  return Run(*graph_, *plan_, *times_, *parts_, layouts_, options_, speed).walk();
}

}  // namespace echelon
