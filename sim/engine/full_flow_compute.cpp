#include <algorithm>
#include <cmath>

#include "sim/engine/full_flow_run.h"

namespace echelon {

void FlowReplay::run_fixed(std::size_t p, Stream which, TaskReference task, const RankGroup& group) {
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

void FlowReplay::compute(std::size_t p, TaskReference task, const RankGroup& group) {
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

void FlowReplay::compute_share(std::size_t p, TaskReference task, const RankGroup& group, double share) {
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

bool FlowReplay::goes_on(std::size_t p, TaskReference task, const RankGroup& group) {
  GroupState& state = runner(p, Stream::compute, group.first);
  if (state.layers == nullptr) return false;
  if (--state.parts > 0) return true;
  const std::vector<LayerTurn>& turns = state.layers->turns;
  if (!state.sending) {
    state.sending = true;
    compute_share(p, task, group, turns[state.turn].beside);
    if (traffic_.begin_step(task, turns[state.turn].step, now_, static_cast<std::int32_t>(group.first))) ++state.parts;
    return true;
  }
  state.sending = false;
  const bool last = ++state.turn == turns.size();
  if (last) state.layers = nullptr;  // what is left to wait for is the host
  compute_share(p, task, group, last ? 0 : turns[state.turn].before);
  return true;
}

void FlowReplay::end_flows(const TaskThrough& through) {
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

Time FlowReplay::own_duration(std::size_t p, TaskReference task, std::size_t rank) const {
  const Time nominal = work_of(task).device;
  if (!speed_.varies()) return nominal;
  const std::int64_t self = engine_rank(p, rank);
  const std::int32_t to = stages_[p].receiver[static_cast<std::size_t>(task.task)];
  std::int64_t receiver = self;
  if (to >= 0) {
    const auto q = static_cast<std::size_t>(to);
    receiver = engine_rank(q, layouts_.counterparts(p, rank, q).first);
  }
  return speed_.duration(nominal, parts_[static_cast<std::size_t>(graph_.task(task).work)], number_of(task), self,
                         receiver, now_);
}

double FlowReplay::stretch_between(TaskReference task, std::int32_t sender, std::int32_t receiver, Time now) const {
  constexpr double resolution = 1e12;  // picoseconds of a second
  const Time unit = Time::from_picoseconds(static_cast<std::int64_t>(resolution));
  const Time taken = speed_.duration(unit, {Time(), unit}, number_of(task), sender, receiver, now);
  return static_cast<double>(taken.picoseconds()) / resolution;
}

void FlowReplay::schedule_end(std::size_t p, std::size_t rank) {
  ComputingRank& computing = stages_[p].computing[rank];
  const double stretch = stages_[p].beside_data[rank] != 0 ? options_.slowdown(p) : 1;
  computing.end = now_ + Time::from_picoseconds(std::llround(computing.remaining * stretch));
  if (computing.ends_task) computing.end = std::max(computing.end, stages_[p].hosts[rank]);
  push(computing.end, p, Stream::compute, rank, EventKind::rank_end, ++computing.generation);
}

void FlowReplay::run_data(std::size_t p, const RankGroup& group, bool runs) {
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

Cause FlowReplay::cause_of(const TaskThrough& through, Time begun) const {
  Cause cause{Time(), 0, through.held_by};
  if (through.stretch <= 1 || through.last.sender < 0) return cause;
  const double senders = stretch_between(through.task, through.last.sender, through.last.sender, begun);
  cause.rank = static_cast<std::size_t>(senders < through.stretch ? through.last.receiver : through.last.sender);
  cause.delay = Time::from_seconds((through.end - begun).seconds() * (1 - 1 / through.stretch));
  return cause;
}

void FlowReplay::finish_computing(std::size_t p, std::size_t rank) {
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

}  // namespace echelon
