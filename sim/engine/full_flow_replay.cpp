#include "sim/engine/full_flow_replay.h"

#include <algorithm>
#include <cmath>
#include <queue>

#include "sim/base/error.h"
#include "sim/engine/full_flow_state.h"
#include "sim/engine/rank_speed.h"

namespace echelon {

namespace {

class FlowReplay {
 public:
  FlowReplay(const TaskGraph& graph, const ReplayPlan& plan, const std::vector<WorkTime>& times,
             const std::vector<WorkParts>& parts, const RankLayout& layout, const ReplayOptions& options,
             const RankSpeed& speed)
      : graph_(graph),
        times_(times),
        parts_(parts),
        layout_(layout),
        options_(options),
        width_(static_cast<std::size_t>(layout.stage_ranks())),
        speed_(speed),
        stages_(stages_of(graph, plan, static_cast<std::size_t>(layout.stage_ranks()))),
        traffic_(*options.traffic, speed.varies() ? FlowStretch([this](TaskReference task, const FlowOwner& owner,
                                                                       Time now) { return stretch(task, owner, now); })
                                                  : FlowStretch()) {}

  FullTimeline run() {
    for (std::size_t p = 0; p < stages_.size(); ++p)
      for (std::size_t s = 0; s < stream_count; ++s)
        for (std::size_t rank = 0; rank < width_; ++rank) arrive(p, static_cast<Stream>(s), rank, Mark());
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
    return timeline_of(stages_, width_, last_);
  }

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

  std::int64_t engine_rank(std::size_t p, std::size_t rank) const {
    return static_cast<std::int64_t>(p * width_ + rank);
  }

  void push(Time time, std::size_t p, Stream stream, std::size_t rank, EventKind kind, std::int32_t generation = 0) {
    events_.push(
        {time, sequence_++, static_cast<std::int32_t>(p), static_cast<std::int32_t>(rank), generation, stream, kind});
  }

  bool may_start(TaskReference task, std::size_t rank) {
    const auto [first, last] = dependences_of(graph_, task);
    const Program& program = graph_.programs[static_cast<std::size_t>(task.program)];
    for (std::size_t d = first; d < last; ++d) {
      const TaskReference on = program.dependences[d];
      const auto q = static_cast<std::size_t>(on.program);
      if (stream_of(q, graph_.task(on).stream).next[rank] <= stages_[q].position[static_cast<std::size_t>(on.task)])
        return false;
    }
    return true;
  }

  // When the rank's host has issued the task that could start at `now`.
  Time issued(std::size_t p, std::size_t rank, TaskReference task, Time now) {
    Time& host = stages_[p].hosts[rank];
    const Time issue = graph_.task(task).syncs_host ? std::max(host, now) : host;
    host = issue + work_of(task).host;
    return std::max(now, issue);
  }

  // The rank's stream comes to its next task, if that can start, and the last of a group starts it. `cause`: what
  // ended just now.
  void arrive(std::size_t p, Stream which, std::size_t rank, const Mark& cause) {
    StageStream& stream = stream_of(p, which);
    if (stream.order.empty() || stream.taken[rank] != 0 ||
        static_cast<std::size_t>(stream.next[rank]) >= stream.order.size())
      return;
    const TaskReference task = next_task(p, which, rank);
    if (!may_start(task, rank)) return;
    stream.taken[rank] = 1;
    const TaskScope scope = scope_of(graph_.task(task).kind);
    const RankGroup group = group_of(layout_, scope, rank);
    Mark mark = cause;
    mark.chain.time = which == Stream::compute && scope != TaskScope::barrier ? issued(p, rank, task, now_) : now_;
    GroupState& gathering = group_in(stream, scope, group.first);
    if (gathering.here == 0 || mark.chain.time > gathering.latest.chain.time) gathering.latest = mark;
    if (static_cast<std::size_t>(++gathering.here) < group.count) return;
    gathering.here = 0;
    if (scope != TaskScope::barrier) return start_when_issued(p, which, group.first);
    for (std::size_t member = 0; member < width_; ++member) {
      Mark& own = group_in(stream, TaskScope::rank, member).latest;
      own = gathering.latest;
      if (which == Stream::compute) own.chain.time = issued(p, member, task, own.chain.time);
      start_when_issued(p, which, member);
    }
  }

  void start_when_issued(std::size_t p, Stream which, std::size_t first) {
    const Time time = runner(p, which, first).latest.chain.time;
    if (time > now_)
      push(time, p, which, first, EventKind::start);
    else
      start(p, which, first);
  }

  // Ranks that run and end the task together.
  RankGroup running_group(TaskReference task, std::size_t first) const {
    return group_of(layout_, running_scope(scope_of(graph_.task(task).kind)), first);
  }

  void start(std::size_t p, Stream which, std::size_t first) {
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

  // A fixed time on links or copy engines, the slowest rank's.
  void run_fixed(std::size_t p, Stream which, TaskReference task, const RankGroup& group) {
    Cause& cause = runner(p, which, group.first).cause;
    const Time nominal = work_of(task).device;
    Time longest = Time::from_picoseconds(-1);
    for (std::size_t i = 0, rank = group.first; i < group.count; ++i, rank += group.stride) {
      const Time own = own_duration(p, task, rank);
      if (own <= longest) continue;
      longest = own;
      cause = {own - nominal, rank, -1};
    }
    push(now_ + longest, p, which, group.first, EventKind::group_end);
  }

  void compute(std::size_t p, TaskReference task, const RankGroup& group) {
    GroupState& state = runner(p, Stream::compute, group.first);
    state.layers = options_.traffic->inside(task);
    if (state.layers == nullptr) return compute_share(p, task, group, 1);
    state.turn = 0;
    state.sending = false;
    Time longest;
    for (std::size_t i = 0, rank = group.first; i < group.count; ++i, rank += group.stride) {
      const Time own = own_duration(p, task, rank);
      if (own > longest) state.cause.rank = rank;
      longest = std::max(longest, own);
    }
    compute_share(p, task, group, state.layers->turns.front().before);
  }

  // So much of the task on every rank of the group.
  void compute_share(std::size_t p, TaskReference task, const RankGroup& group, double share) {
    GroupState& state = runner(p, Stream::compute, group.first);
    state.left = static_cast<std::int32_t>(group.count);
    state.parts = 1;
    state.stretch = now_;
    for (std::size_t i = 0, rank = group.first; i < group.count; ++i, rank += group.stride) {
      ComputingRank& computing = stages_[p].computing[rank];
      computing.running = true;
      computing.ends_task = state.layers == nullptr;
      computing.updated = now_;
      computing.remaining = share * static_cast<double>(own_duration(p, task, rank).picoseconds());
      schedule_end(p, rank);
    }
  }

  // What comes after compute or flows of a turn of the group's layers: false where nothing does.
  bool goes_on(std::size_t p, TaskReference task, const RankGroup& group) {
    GroupState& state = runner(p, Stream::compute, group.first);
    if (state.layers == nullptr) return false;
    if (--state.parts > 0) return true;
    const std::vector<LayerTurn>& turns = state.layers->turns;
    if (!state.sending) {
      state.sending = true;
      compute_share(p, task, group, turns[state.turn].beside);
      if (traffic_.begin_step(task, turns[state.turn].step, now_, static_cast<std::int32_t>(group.first)))
        ++state.parts;
      return true;
    }
    state.sending = false;
    const bool last = ++state.turn == turns.size();
    if (last) state.layers = nullptr;  // what is left to wait for is the host
    compute_share(p, task, group, last ? 0 : turns[state.turn].before);
    return true;
  }

  // A turn's flows are through. Where they outlast its compute, all ranks were busy with them, and the chain up to here
  // lost time by what held them back.
  void end_flows(const TaskThrough& through) {
    const auto p = static_cast<std::size_t>(through.task.program);
    const RankGroup group = running_group(through.task, static_cast<std::size_t>(through.group));
    GroupState& state = runner(p, Stream::compute, group.first);
    if (state.left == 0) {
      for (std::size_t i = 0, rank = group.first; i < group.count; ++i, rank += group.stride)
        stages_[p].busy[rank] += now_ - state.computed;
      const Cause cause = cause_of(through, state.stretch);
      state.latest.wait_for(cause.link, now_ - state.computed);
      state.latest.chain.lose(std::min(cause.delay, now_ - state.computed), static_cast<std::int32_t>(cause.rank),
                              static_cast<std::int32_t>(number_of(through.task)));
    }
    goes_on(p, through.task, group);
  }

  Time own_duration(std::size_t p, TaskReference task, std::size_t rank) const {
    const Time nominal = work_of(task).device;
    if (!speed_.varies()) return nominal;
    const std::int64_t self = engine_rank(p, rank);
    const std::int32_t to = stages_[p].receiver[static_cast<std::size_t>(task.task)];
    const std::int64_t receiver = to < 0 ? self : engine_rank(static_cast<std::size_t>(to), rank);
    return speed_.duration(nominal, parts_[static_cast<std::size_t>(graph_.task(task).work)], number_of(task), self,
                           receiver, now_);
  }

  // Of a flow that leaves a node, for the slower of the links that it leaves and enters by.
  double stretch(TaskReference task, const FlowOwner& owner, Time now) const {
    return owner.sender < 0 ? 1 : stretch_between(task, owner.sender, owner.receiver, now);
  }

  double stretch_between(TaskReference task, std::int32_t sender, std::int32_t receiver, Time now) const {
    constexpr double resolution = 1e12;  // picoseconds of a second
    const Time unit = Time::from_picoseconds(static_cast<std::int64_t>(resolution));
    const Time taken = speed_.duration(unit, {Time(), unit}, number_of(task), sender, receiver, now);
    return static_cast<double>(taken.picoseconds()) / resolution;
  }

  void schedule_end(std::size_t p, std::size_t rank) {
    ComputingRank& computing = stages_[p].computing[rank];
    const double stretch = stages_[p].beside_data[rank] != 0 ? options_.slowdown(p) : 1;
    computing.end = now_ + Time::from_picoseconds(std::llround(computing.remaining * stretch));
    if (computing.ends_task) computing.end = std::max(computing.end, stages_[p].hosts[rank]);
    push(computing.end, p, Stream::compute, rank, EventKind::rank_end, ++computing.generation);
  }

  // The data stream of these ranks has just started or stops: compute beside it changes its speed, unless it ends now.
  void run_data(std::size_t p, const RankGroup& group, bool runs) {
    for (std::size_t i = 0, rank = group.first; i < group.count; ++i, rank += group.stride) {
      ComputingRank& computing = stages_[p].computing[rank];
      const bool affected = options_.slowdown(p) > 1 && computing.running && computing.end > now_;
      if (affected) {
        const double passed = static_cast<double>((now_ - computing.updated).picoseconds());
        computing.remaining = std::max(0.0, computing.remaining - passed / (runs ? 1 : options_.slowdown(p)));
        computing.updated = now_;
      }
      stages_[p].beside_data[rank] = runs ? 1 : 0;
      if (affected) schedule_end(p, rank);
    }
  }

  void advance_traffic(Time until) {
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

  // A rank with slow links is told by its own flow: the sender's, or the receiver's where that is the slower.
  Cause cause_of(const TaskThrough& through, Time begun) const {
    Cause cause{Time(), 0, through.held_by};
    if (through.stretch <= 1 || through.last.sender < 0) return cause;
    const double senders = stretch_between(through.task, through.last.sender, through.last.sender, begun);
    cause.rank = static_cast<std::size_t>(senders < through.stretch ? through.last.receiver : through.last.sender);
    cause.delay = Time::from_seconds((through.end - begun).seconds() * (1 - 1 / through.stretch));
    return cause;
  }

  void handle(const Event& event) {
    const auto p = static_cast<std::size_t>(event.program);
    const auto rank = static_cast<std::size_t>(event.rank);
    if (event.kind == EventKind::start) return start(p, event.stream, rank);
    if (event.kind == EventKind::group_end) return finish_timed(p, event.stream, rank);
    ComputingRank& computing = stages_[p].computing[rank];
    if (!computing.running || computing.generation != event.generation) return;
    computing.running = false;
    finish_computing(p, rank);
  }

  void finish_computing(std::size_t p, std::size_t rank) {
    const TaskReference task = next_task(p, Stream::compute, rank);
    const RankGroup group = running_group(task, rank);
    GroupState& state = runner(p, Stream::compute, group.first);
    stages_[p].busy[rank] += now_ - state.stretch;
    Time& slowest = stream_of(p, Stream::compute).ends[group.first];  // so far
    const bool told = options_.traffic->inside(task) != nullptr;
    if (!told && (now_ > slowest || state.left == static_cast<std::int32_t>(group.count))) {
      slowest = now_;
      state.cause.rank = rank;
    }
    if (--state.left > 0) return;
    state.computed = now_;
    if (goes_on(p, task, group)) return;
    if (speed_.varies()) {
      const Time now = now_;
      now_ = state.begun;  // its draw is that of its start
      state.cause.delay = own_duration(p, task, state.cause.rank) - work_of(task).device;
      now_ = now;
    }
    state.cause.rank = static_cast<std::size_t>(engine_rank(p, state.cause.rank));
    finish(p, Stream::compute, task, group);
  }

  void finish_timed(std::size_t p, Stream which, std::size_t first) {
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

  void finish(std::size_t p, Stream which, TaskReference task, const RankGroup& group) {
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
      for (std::size_t i = 0, rank = group.first; i < group.count; ++i, rank += group.stride)
        arrive(static_cast<std::size_t>(waiting.program), graph_.task(waiting).stream, rank, mark);
    }
    for (std::size_t i = 0, rank = group.first; i < group.count; ++i, rank += group.stride)
      arrive(p, which, rank, mark);
  }

  const TaskGraph& graph_;
  const std::vector<WorkTime>& times_;
  const std::vector<WorkParts>& parts_;
  const RankLayout& layout_;
  const ReplayOptions& options_;
  std::size_t width_;
  const RankSpeed& speed_;
  std::vector<Stage> stages_;
  TrafficRun traffic_;
  std::priority_queue<Event, std::vector<Event>, LaterFirst> events_;
  std::int64_t sequence_ = 0;
  Time now_;
  Mark last_;
};

}  // namespace

FullTimeline replay_with_flows(const TaskGraph& graph, const ReplayPlan& plan, const std::vector<WorkTime>& times,
                               const std::vector<WorkParts>& parts, const RankLayout& layout,
                               const ReplayOptions& options, const RankVariation& variation, std::int64_t number) {
  const auto ranks = static_cast<std::int64_t>(graph.programs.size()) * layout.stage_ranks();
  const RankSpeed speed(variation, number, ranks);
  return FlowReplay(graph, plan, times, parts, layout, options, speed).run();
}

}  // namespace echelon
