#include "sim/metrics/breakdown.h"

#include <algorithm>

#include "sim/graph/layer_program.h"

namespace echelon {

Seconds Breakdown::total() const {
  return compute + recompute + exposed_tp + exposed_pp + exposed_dp + exposed_cp + exposed_ep + offload + bubble +
         optimizer + other + stragglers;
}

void Breakdown::add(const Breakdown& other_parts, double times) {
  for (const auto part : {&Breakdown::compute, &Breakdown::recompute, &Breakdown::exposed_tp, &Breakdown::exposed_pp,
                          &Breakdown::exposed_dp, &Breakdown::exposed_cp, &Breakdown::exposed_ep, &Breakdown::offload,
                          &Breakdown::bubble, &Breakdown::optimizer, &Breakdown::other, &Breakdown::stragglers})
    this->*part += other_parts.*part * times;
}

void Breakdown::repeat(const Breakdown& since, double times) {
  Breakdown difference = *this;
  difference.add(since, -1);
  add(difference, times);
}

namespace {

// Between pipeline ranks.
bool is_message(TaskKind kind) {
  return kind == TaskKind::send_activation || kind == TaskKind::send_gradient ||
         kind == TaskKind::vocabulary_exchange || kind == TaskKind::evict_activations ||
         kind == TaskKind::return_activations;
}
bool is_data_parallel(TaskKind kind) {
  return kind == TaskKind::parameter_gather || kind == TaskKind::gradient_reduce;
}
bool is_host_copy(TaskKind kind) {
  return kind == TaskKind::copy_to_host || kind == TaskKind::copy_from_host;
}

Seconds span(Time from, Time to) {
  return (to - from).seconds();
}

class BreakdownWalk {
 public:
  BreakdownWalk(const TaskGraph& graph, const Timeline& timeline, const std::vector<WorkShare>& shares,
                const Repetition& repetition)
      : graph_(graph), timeline_(timeline), shares_(shares), repetition_(repetition) {}

  Breakdown run(std::size_t p) {
    const std::size_t tasks = graph_.programs[p].tasks.size();
    Time cursor;
    if (repetition_.times > 0) {
      const TaskRange& range = repetition_.ranges[p];
      cursor = lay(p, {0, range.first}, cursor);
      Breakdown before = result_;
      const Time end = lay(p, range, cursor);
      if (repetition_.seen_once) {
        before = result_;
        lay(p, range, cursor);
      }
      result_.repeat(before, static_cast<double>(repetition_.times - (repetition_.seen_once ? 1 : 0)));
      cursor = lay(p, {range.last, tasks}, end);
    } else {
      cursor = lay(p, {0, tasks}, cursor);
    }
    result_.bubble += span(cursor, timeline_.end);
    return result_;
  }

 private:
  // From the end of the compute task before to the end of the last of these, which is returned.
  Time lay(std::size_t p, const TaskRange& range, Time cursor) {
    for (std::size_t i = range.first; i < range.last; ++i) {
      if (graph_.programs[p].tasks[i].stream != Stream::compute) continue;
      const TaskTime& time = timeline_.tasks[p][i];
      if (time.start > cursor) lay_gap(cursor, time, static_cast<std::int32_t>(p));
      lay_task(graph_.programs[p].tasks[i], time);
      cursor = time.end;
    }
    return cursor;
  }

  void lay_gap(Time from, const TaskTime& task, std::int32_t own_program) {
    const Seconds gap = span(from, task.start);
    if (task.blocker.program < 0) {
      result_.other += gap;
      return;
    }
    const Task& blocker = graph_.task(task.blocker);
    const TaskTime& held =
        timeline_.tasks[static_cast<std::size_t>(task.blocker.program)][static_cast<std::size_t>(task.blocker.task)];
    if (held.end <= from) {
      result_.other += gap;
      return;
    }
    const Seconds waited = span(from, held.end);
    result_.other += gap - waited;
    if (is_message(blocker.kind)) {
      const Seconds under_way = std::min(waited, span(held.start, held.end));
      result_.exposed_pp += under_way;
      result_.bubble += waited - under_way;
    } else if (is_data_parallel(blocker.kind) && task.blocker.program == own_program) {
      result_.exposed_dp += waited;
    } else if (is_host_copy(blocker.kind) && task.blocker.program == own_program) {
      result_.offload += waited;
    } else {
      result_.bubble += waited;
    }
  }

  void lay_task(const Task& task, const TaskTime& time) {
    const Seconds took = span(time.start, time.end);
    if (time.on_links) {
      (is_message(task.kind) ? result_.exposed_pp : result_.exposed_dp) += took;
      return;
    }
    const WorkShare share = with_flows(shares_[static_cast<std::size_t>(task.work)], time.sending.seconds());
    Seconds device = share.compute + share.recompute + share.host_copy;
    for (const Seconds& part : share.exposed) device += part;
    if (task.kind == TaskKind::optimizer)
      result_.optimizer += device;
    else
      result_.compute += share.compute;
    result_.recompute += share.recompute;
    result_.exposed_tp += share.exposed[static_cast<std::size_t>(Axis::tensor)];
    result_.exposed_cp += share.exposed[static_cast<std::size_t>(Axis::context)];
    result_.exposed_ep += share.exposed[static_cast<std::size_t>(Axis::expert)];
    result_.exposed_dp += share.exposed[static_cast<std::size_t>(Axis::data)];
    result_.exposed_pp += share.exposed[static_cast<std::size_t>(Axis::pipeline)];
    result_.offload += share.host_copy;
    result_.other += took - device;  // launch-bound, or slowed by collectives beside it
  }

  static WorkShare with_flows(WorkShare share, Seconds sending) {
    Seconds sent;
    for (const Seconds& part : share.sent) sent += part;
    if (sent <= Seconds(0)) return share;
    for (std::size_t axis = 0; axis < share.sent.size(); ++axis)
      share.exposed[axis] += sending * (share.sent[axis] / sent);
    return share;
  }

  const TaskGraph& graph_;
  const Timeline& timeline_;
  const std::vector<WorkShare>& shares_;
  const Repetition& repetition_;
  Breakdown result_;
};

}  // namespace

Breakdown break_down(const TaskGraph& graph, const Timeline& timeline, const std::vector<WorkShare>& shares,
                     std::size_t program, const Repetition& repetition) {
  return BreakdownWalk(graph, timeline, shares, repetition).run(program);
}

std::size_t critical_program(const TaskGraph& graph, const Timeline& timeline, const Repetition& repetition) {
  std::size_t busiest = 0;
  Time most;
  const auto busy_in = [&](std::size_t p, const TaskRange& range) {
    Time busy;
    for (std::size_t i = range.first; i < range.last; ++i)
      if (graph.programs[p].tasks[i].stream == Stream::compute)
        busy += timeline.tasks[p][i].end - timeline.tasks[p][i].start;
    return busy;
  };
  for (std::size_t p = 0; p < graph.programs.size(); ++p) {
    Time busy = busy_in(p, {0, graph.programs[p].tasks.size()});
    if (repetition.times > 0)
      busy += Time::from_picoseconds(busy_in(p, repetition.ranges[p]).picoseconds() * repetition.times);
    if (busy > most) {
      most = busy;
      busiest = p;
    }
  }
  return busiest;
}

}  // namespace echelon
