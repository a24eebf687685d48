// One full replay with flows (full_flow_replay.h) under way. Private to the engine.
//
// Ranks come to their tasks and start them with their groups (full_flow_replay.cpp); computing ranks, which what runs
// beside them slows down and whose layers send in turns, are told of in full_flow_compute.cpp.
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

#include "sim/engine/full_flow_state.h"
#include "sim/engine/full_replay.h"
#include "sim/engine/rank_speed.h"

namespace echelon {

class FlowReplay {
 public:
  FlowReplay(const TaskGraph& graph, const ReplayPlan& plan, const std::vector<WorkTime>& times,
             const std::vector<WorkParts>& parts, const StageLayouts& layouts, const ReplayOptions& options,
             const RankSpeed& speed)
      : graph_(graph),
        times_(times),
        parts_(parts),
        layouts_(layouts),
        options_(options),
        speed_(speed),
        stages_(stages_of(graph, plan, layouts)),
        traffic_(*options.traffic, speed.varies() ? FlowStretch([this](TaskReference task, const FlowOwner& owner,
                                                                       Time now) { return stretch(task, owner, now); })
                                                  : FlowStretch()) {}

  FullTimeline run();

 private:
  static GroupState& group_in(StageStream& stream, TaskScope scope, std::size_t first) {
    return stream.groups[static_cast<std::size_t>(scope)][first];
  }

  // The group that runs its next task.
  GroupState& runner(std::size_t p, Stream which, std::size_t first) {
    const TaskScope scope = scope_of(graph_.task(next_task(p, which, first)).kind);
    return group_in(stream_of(p, which), running_scope(scope), first);
  }

  StageStream& stream_of(std::size_t p, Stream which) { return stages_[p].streams[static_cast<std::size_t>(which)]; }

  TaskReference next_task(std::size_t p, Stream which, std::size_t rank) {
    const StageStream& stream = stream_of(p, which);
    return {static_cast<std::int32_t>(p), stream.order[static_cast<std::size_t>(stream.next[rank])]};
  }

  const WorkTime& work_of(TaskReference task) const {
    return time_of_work(times_, options_, graph_.task(task).work, now_);
  }

  std::int64_t number_of(TaskReference task) const {
    return stages_[static_cast<std::size_t>(task.program)].number[static_cast<std::size_t>(task.task)];
  }

  std::int64_t engine_rank(std::size_t p, std::size_t rank) const { return layouts_.engine_rank(p, rank); }

  void push(Time time, std::size_t p, Stream stream, std::size_t rank, EventKind kind, std::int32_t generation = 0) {
    events_.push(
        {time, sequence_++, static_cast<std::int32_t>(p), static_cast<std::int32_t>(rank), generation, stream, kind});
  }

  bool may_start(TaskReference task, std::size_t rank);

  // When the rank's host has issued the task that could start at `now`.
  Time issued(std::size_t p, std::size_t rank, TaskReference task, Time now);

  // The rank's stream comes to its next task, if that can start, and the last of a group starts it. `cause`: what
  // ended just now.
  void arrive(std::size_t p, Stream which, std::size_t rank, const Mark& cause);
  void start_when_issued(std::size_t p, Stream which, std::size_t first);

  // Ranks that run and end the task together.
  RankGroup running_group(TaskReference task, std::size_t first) const;
  void start(std::size_t p, Stream which, std::size_t first);

  // A fixed time on links or copy engines, the slowest rank's.
  void run_fixed(std::size_t p, Stream which, TaskReference task, const RankGroup& group);
  void compute(std::size_t p, TaskReference task, const RankGroup& group);

  // So much of the task on every rank of the group.
  void compute_share(std::size_t p, TaskReference task, const RankGroup& group, double share);

  // What comes after compute or flows of a turn of the group's layers: false where nothing does.
  bool goes_on(std::size_t p, TaskReference task, const RankGroup& group);

  // A turn's flows are through. Where they outlast its compute, all ranks were busy with them, and the chain up to here
  // lost time by what held them back.
  void end_flows(const TaskThrough& through);
  Time own_duration(std::size_t p, TaskReference task, std::size_t rank) const;

  // Of a flow that leaves a node, for the slower of the links that it leaves and enters by.
  double stretch(TaskReference task, const FlowOwner& owner, Time now) const {
    return owner.sender < 0 ? 1 : stretch_between(task, owner.sender, owner.receiver, now);
  }

  double stretch_between(TaskReference task, std::int32_t sender, std::int32_t receiver, Time now) const;
  void schedule_end(std::size_t p, std::size_t rank);

  // The data stream of these ranks has just started or stops: compute beside it changes its speed, unless it ends now.
  void run_data(std::size_t p, const RankGroup& group, bool runs);
  void advance_traffic(Time until);

  // A rank with slow links is told by its own flow: the sender's, or the receiver's where that is the slower.
  Cause cause_of(const TaskThrough& through, Time begun) const;
  void handle(const Event& event);
  void finish_computing(std::size_t p, std::size_t rank);
  void finish_timed(std::size_t p, Stream which, std::size_t first);
  void finish(std::size_t p, Stream which, TaskReference task, const RankGroup& group);

  const TaskGraph& graph_;
  const std::vector<WorkTime>& times_;
  const std::vector<WorkParts>& parts_;
  const StageLayouts& layouts_;
  const ReplayOptions& options_;
  const RankSpeed& speed_;
  std::vector<Stage> stages_;
  TrafficRun traffic_;
  std::priority_queue<Event, std::vector<Event>, LaterFirst> events_;
  std::int64_t sequence_ = 0;
  Time now_;
  Mark last_;
};

}  // namespace echelon
