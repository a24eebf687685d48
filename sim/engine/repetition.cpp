#include "sim/engine/repetition.h"

#include <algorithm>

namespace echelon {

namespace {

bool is_forward(const Task& task) {
  return task.kind == TaskKind::forward;
}

// Where the forward slots of a program begin, and how many of them come before its first backward pass: w + 1.
struct Slots {
  std::vector<std::size_t> starts;
  std::size_t warm_up = 0;
};

Slots slots_of(const Program& program) {
  Slots slots;
  slots.starts.reserve(program.tasks.size() / 2);
  bool turned = false;
  const Task* last = nullptr;
  for (std::size_t i = 0; i < program.tasks.size(); ++i) {
    const Task& task = program.tasks[i];
    if (task.kind == TaskKind::backward) {
      if (!turned) slots.warm_up = slots.starts.size();
      turned = true;
    }
    if (!is_forward(task)) continue;
    if (last == nullptr || last->micro_batch != task.micro_batch || last->chunk != task.chunk)
      slots.starts.push_back(i);
    last = &task;
  }
  return slots;
}

class Finder {
 public:
  Finder(const TaskGraph& graph, const std::vector<WorkTime>& times, const Timeline& timeline, const SteadyPairs& pairs)
      : graph_(graph),
        times_(times),
        timeline_(timeline),
        period_pairs_(static_cast<std::size_t>(pairs.period)),
        compared_(static_cast<std::size_t>(pairs.under_way)) {}

  std::optional<Repetition> find() {
    Repetition found;
    if (!choose_cut()) return std::nullopt;
    for (std::size_t p = 0; p < graph_.programs.size(); ++p) {
      if (!is_steady(p)) return std::nullopt;
      found.ranges.push_back({boundary(p, period_pairs_), boundary(p, 0)});
    }
    found.period = *period_;
    found.seen_once = compared_ < period_pairs_;
    return found;
  }

 private:
  // Backward slot J of the cut: the last behind which every rank still has a forward slot to run.
  bool choose_cut() {
    std::size_t least = SIZE_MAX;
    for (const Program& program : graph_.programs) {
      slots_.push_back(slots_of(program));
      const Slots& slots = slots_.back();
      if (slots.warm_up == 0 || slots.starts.size() <= slots.warm_up) return false;
      least = std::min(least, slots.starts.size() - 1 - slots.warm_up);
    }
    cut_ = least;  // pairs 0 .. cut lie before the cut
    if (cut_ >= 2 * period_pairs_) compared_ = period_pairs_;
    return cut_ >= period_pairs_ + compared_;
  }

  // The first task behind the cut, or `back` pairs before.
  std::size_t boundary(std::size_t p, std::size_t back) const {
    return slots_[p].starts[slots_[p].warm_up + cut_ - back];
  }

  bool is_steady(std::size_t p) {
    const std::size_t before = boundary(p, period_pairs_ + compared_);
    const std::size_t middle = boundary(p, period_pairs_);
    const std::size_t late = boundary(p, compared_);
    const std::size_t behind = boundary(p, 0);
    if (behind - late != middle - before) return false;
    for (std::size_t i = late; i < behind; ++i)
      if (!repeats(p, i, i - (late - before))) return false;
    if (!nothing_lingers(p, before)) return false;
    if (compared_ == period_pairs_) return host_keeps_up(p, {middle, behind});
    return is_one_task_a_pass(p, {middle, behind}) && host_repeats(p, {middle, behind}, {late, behind});
  }

  Time host_time(std::size_t p, const TaskRange& range) const {
    Time host;
    for (std::size_t i = range.first; i < range.last; ++i) {
      const Task& task = graph_.programs[p].tasks[i];
      if (task.stream == Stream::compute) host += times_[static_cast<std::size_t>(task.work)].host;
    }
    return host;
  }

  // Passes that are written layer by layer may be those of a first or last micro-batch, which no other is like.
  bool is_one_task_a_pass(std::size_t p, const TaskRange& range) const {
    const auto& tasks = graph_.programs[p].tasks;
    for (std::size_t i = range.first; i < range.last; ++i)
      if (tasks[i].layer >= 0 || tasks[i].stream == Stream::data) return false;
    return true;
  }

  // `compared`: the last pairs of `range`.
  bool host_repeats(std::size_t p, const TaskRange& range, const TaskRange& compared) const {
    if (syncs_host(p, compared)) return true;
    if (syncs_host(p, range)) return false;
    return host_keeps_up(p, range) && (host_time(p, range) == *period_ || !holds_back(p, range));
  }

  // Whether the host stays as far ahead as it is, or gets further and nobody waited for it behind the cut.
  bool host_keeps_up(std::size_t p, const TaskRange& range) const {
    const Time host = host_time(p, range);
    if (host == *period_ || (host < *period_ && syncs_host(p, range))) return true;
    return host < *period_ && !may_hold_back_behind(p, range.last);
  }

  bool may_hold_back_behind(std::size_t p, std::size_t cut) const {
    const auto& tasks = graph_.programs[p].tasks;
    Time host;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      if (tasks[i].stream != Stream::compute) continue;
      const TaskTime& time = timeline_.tasks[p][i];
      if (i >= cut && host >= time.start) return true;
      if (tasks[i].syncs_host) host = time.start;
      host += times_[static_cast<std::size_t>(tasks[i].work)].host;
      if (i >= cut && host >= time.end) return true;
    }
    return false;
  }

  bool syncs_host(std::size_t p, const TaskRange& range) const {
    const auto& tasks = graph_.programs[p].tasks;
    return std::any_of(tasks.begin() + static_cast<std::ptrdiff_t>(range.first),
                       tasks.begin() + static_cast<std::ptrdiff_t>(range.last),
                       [](const Task& task) { return task.stream == Stream::compute && task.syncs_host; });
  }

  // Whether the host was late for any task.
  bool holds_back(std::size_t p, const TaskRange& range) const {
    const Program& program = graph_.programs[p];
    std::size_t before = range.first;
    while (program.tasks[--before].stream != Stream::compute) continue;
    Time free = timeline_.tasks[p][before].end;
    for (std::size_t i = range.first; i < range.last; ++i) {
      if (program.tasks[i].stream != Stream::compute) continue;
      const TaskTime& time = timeline_.tasks[p][i];
      const TaskReference by = time.blocker;
      const Time ready =
          by.program < 0
              ? free
              : std::max(free,
                         timeline_.tasks[static_cast<std::size_t>(by.program)][static_cast<std::size_t>(by.task)].end);
      if (time.start > ready) return true;
      if (time.end - time.start > times_[static_cast<std::size_t>(program.tasks[i].work)].device) return true;
      free = time.end;
    }
    return false;
  }

  bool repeats(std::size_t p, std::size_t now, std::size_t then) {
    const auto& tasks = graph_.programs[p].tasks;
    if (tasks[now].work != tasks[then].work || tasks[now].stream != tasks[then].stream) return false;
    const TaskTime& late = timeline_.tasks[p][now];
    const TaskTime& early = timeline_.tasks[p][then];
    if (!period_) period_ = late.start - early.start;
    return late.start - early.start == *period_ && late.end - early.end == *period_;
  }

  // No task from before still runs beside the steady state and slows it for a while.
  bool nothing_lingers(std::size_t p, std::size_t before) const {
    const Time begin = timeline_.tasks[p][before].start;
    for (std::size_t i = 0; i < before; ++i)
      if (graph_.programs[p].tasks[i].stream == Stream::data && timeline_.tasks[p][i].end > begin) return false;
    return true;
  }

  const TaskGraph& graph_;
  const std::vector<WorkTime>& times_;
  const Timeline& timeline_;
  std::size_t period_pairs_;
  std::size_t compared_;
  std::size_t cut_ = 0;
  std::vector<Slots> slots_;
  std::optional<Time> period_;
};

}  // namespace

std::optional<Repetition> find_repetition(const TaskGraph& graph, const std::vector<WorkTime>& times,
                                          const Timeline& timeline, const SteadyPairs& pairs) {
  return Finder(graph, times, timeline, pairs).find();
}

}  // namespace echelon
