#include "sim/engine/full_flow_replay.h"

#include <algorithm>

#include "sim/engine/full_flow_run.h"

namespace echelon {

FullTimeline FlowReplay::run() {
  for (std::size_t p = 0; p < stages_.size(); ++p)
    for (std::size_t s = 0; s < stream_count; ++s)
      for (std::size_t rank = 0; rank < layouts_.width(p); ++rank) arrive(p, static_cast<Stream>(s), rank, Mark());
  while (!events_.empty() || traffic_.next_event_time() < Time::max()) {
    if (events_.empty() || traffic_.next_event_time() < events_.top().time) {
      advance_traffic(traffic_.next_event_time());
      continue;
    }
    const Event event = events_.top();
    events_.pop();
    now_ = event.time;
    handle(event);
  }
  return timeline_of(stages_, last_);
}

bool FlowReplay::may_start(TaskReference task, std::size_t rank) {
  const auto [first, last] = dependences_of(graph_, task);
  const auto p = static_cast<std::size_t>(task.program);
  const Program& program = graph_.programs[p];
  for (std::size_t d = first; d < last; ++d) {
    const TaskReference on = program.dependences[d];
    const auto q = static_cast<std::size_t>(on.program);
    const StageStream& stream = stream_of(q, graph_.task(on).stream);
    const RankGroup there = layouts_.counterparts(p, rank, q);
    for (std::size_t i = 0; i < there.count; ++i)
      if (stream.next[there.first + i] <= stages_[q].position[static_cast<std::size_t>(on.task)]) return false;
  }
  return true;
}

Time FlowReplay::issued(std::size_t p, std::size_t rank, TaskReference task, Time now) {
  Time& host = stages_[p].hosts[rank];
  const Time issue = graph_.task(task).syncs_host ? std::max(host, now) : host;
  host = issue + work_of(task).host;
  return std::max(now, issue);
}

void FlowReplay::arrive(std::size_t p, Stream which, std::size_t rank, const Mark& cause) {
  StageStream& stream = stream_of(p, which);
  if (stream.order.empty() || stream.taken[rank] != 0 ||
      static_cast<std::size_t>(stream.next[rank]) >= stream.order.size())
    return;
  const TaskReference task = next_task(p, which, rank);
  if (!may_start(task, rank)) return;
  stream.taken[rank] = 1;
  const TaskScope scope = scope_of(graph_.task(task).kind);
  const RankGroup group = group_of(layouts_.of(p), scope, rank);
  Mark mark = cause;
  mark.chain.time = which == Stream::compute && scope != TaskScope::barrier ? issued(p, rank, task, now_) : now_;
  GroupState& gathering = group_in(stream, scope, group.first);
  if (gathering.here == 0 || mark.chain.time > gathering.latest.chain.time) gathering.latest = mark;
  if (static_cast<std::size_t>(++gathering.here) < group.count) return;
  gathering.here = 0;
  if (scope != TaskScope::barrier) return start_when_issued(p, which, group.first);
  for (std::size_t member = 0; member < group.count; ++member) {
    Mark& own = group_in(stream, TaskScope::rank, member).latest;
    own = gathering.latest;
    if (which == Stream::compute) own.chain.time = issued(p, member, task, own.chain.time);
    start_when_issued(p, which, member);
  }
}

void FlowReplay::start_when_issued(std::size_t p, Stream which, std::size_t first) {
  const Time time = runner(p, which, first).latest.chain.time;
  if (time > now_)
    push(time, p, which, first, EventKind::start);
  else
    start(p, which, first);
}

RankGroup FlowReplay::running_group(TaskReference task, std::size_t first) const {
  const RankLayout& layout = layouts_.of(static_cast<std::size_t>(task.program));
  return group_of(layout, running_scope(scope_of(graph_.task(task).kind)), first);
}

void FlowReplay::start(std::size_t p, Stream which, std::size_t first) {
  const TaskReference task = next_task(p, which, first);
  const RankGroup group = running_group(task, first);
  GroupState& state = runner(p, which, first);
  state.begun = now_;
  state.cause = {Time(), first, -1};
  if (which == Stream::data) run_data(p, group, true);
  if (options_.traffic->carries(task)) {
    if (!traffic_.begin(task, now_, static_cast<std::int32_t>(first)))
      push(now_, p, which, first, EventKind::group_end);
  } else if (which == Stream::compute) {
    compute(p, task, group);
  } else {
    run_fixed(p, which, task, group);
  }
}

void FlowReplay::advance_traffic(Time until) {
  now_ = until;
  for (const TaskThrough& through : traffic_.advance(until)) {
    if (options_.traffic->inside(through.task) != nullptr) {
      end_flows(through);
      continue;
    }
    const auto p = static_cast<std::size_t>(through.task.program);
    const auto first = static_cast<std::size_t>(through.group);
    const Stream which = graph_.task(through.task).stream;
    GroupState& state = runner(p, which, first);
    Time end = through.end;
    if (which == Stream::compute) {
      const RankGroup group = running_group(through.task, first);
      for (std::size_t i = 0, rank = first; i < group.count; ++i, rank += group.stride)
        end = std::max(end, stages_[p].hosts[rank]);
    }
    state.cause = cause_of(through, state.begun);
    push(end, p, which, first, EventKind::group_end);
  }
}

void FlowReplay::handle(const Event& event) {
  const auto p = static_cast<std::size_t>(event.program);
  const auto rank = static_cast<std::size_t>(event.rank);
  if (event.kind == EventKind::start) return start(p, event.stream, rank);
  if (event.kind == EventKind::group_end) return finish_timed(p, event.stream, rank);
  ComputingRank& computing = stages_[p].computing[rank];
  if (!computing.running || computing.generation != event.generation) return;
  computing.running = false;
  finish_computing(p, rank);
}

void FlowReplay::finish_timed(std::size_t p, Stream which, std::size_t first) {
  const TaskReference task = next_task(p, which, first);
  const RankGroup group = running_group(task, first);
  GroupState& state = runner(p, which, first);
  if (!options_.traffic->carries(task)) state.cause.rank = static_cast<std::size_t>(engine_rank(p, state.cause.rank));
  if (which == Stream::compute)
    for (std::size_t i = 0, rank = first; i < group.count; ++i, rank += group.stride)
      stages_[p].busy[rank] += now_ - state.begun;
  if (which == Stream::data) run_data(p, group, false);
  finish(p, which, task, group);
}

void FlowReplay::finish(std::size_t p, Stream which, TaskReference task, const RankGroup& group) {
  StageStream& stream = stream_of(p, which);
  const GroupState& state = runner(p, which, group.first);
  Mark mark = state.latest;
  mark.wait_for(state.cause.link, now_ - state.begun);
  mark.chain.time = now_;
  mark.chain.lose(state.cause.delay, static_cast<std::int32_t>(state.cause.rank),
                  static_cast<std::int32_t>(number_of(task)));
  if (now_ > last_.chain.time) last_ = mark;
  for (std::size_t i = 0, rank = group.first; i < group.count; ++i, rank += group.stride) {
    ++stream.next[rank];
    stream.taken[rank] = 0;
    stream.ends[rank] = now_;
  }
  const Stage& stage = stages_[p];
  const auto first = static_cast<std::size_t>(stage.dependents_first[static_cast<std::size_t>(task.task)]);
  const auto last = static_cast<std::size_t>(stage.dependents_first[static_cast<std::size_t>(task.task) + 1]);
  for (std::size_t d = first; d < last; ++d) {
    const TaskReference waiting = stage.dependents[d];
    const auto q = static_cast<std::size_t>(waiting.program);
    for (std::size_t i = 0, rank = group.first; i < group.count; ++i, rank += group.stride) {
      const RankGroup there = layouts_.counterparts(p, rank, q);
      for (std::size_t j = 0; j < there.count; ++j) arrive(q, graph_.task(waiting).stream, there.first + j, mark);
    }
  }
  for (std::size_t i = 0, rank = group.first; i < group.count; ++i, rank += group.stride) arrive(p, which, rank, mark);
}

FullTimeline replay_with_flows(const TaskGraph& graph, const ReplayPlan& plan, const std::vector<WorkTime>& times,
                               const std::vector<WorkParts>& parts, const StageLayouts& layouts,
                               const ReplayOptions& options, const RankVariation& variation, std::int64_t number) {
  const RankSpeed speed(variation, number, layouts.ranks());
  return FlowReplay(graph, plan, times, parts, layouts, options, speed).run();
}

}  // namespace echelon
