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
  Finder(const TaskGraph& graph, const std::vector<WorkTime>& times, const Timeline& timeline, std::size_t pairs)
      : graph_(graph), times_(times), timeline_(timeline), pairs_(pairs) {}

  std::optional<Repetition> find() {
    Repetition found;
    if (!choose_cut()) return std::nullopt;
    for (std::size_t p = 0; p < graph_.programs.size(); ++p) {
      if (!is_steady(p)) return std::nullopt;
      found.ranges.push_back({boundary(p, 1), boundary(p, 0)});
    }
    found.period = *period_;
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
    return cut_ >= 2 * pairs_;
  }

  // The first task behind the cut, or `back` periods before.
  std::size_t boundary(std::size_t p, std::size_t back) const {
    return slots_[p].starts[slots_[p].warm_up + cut_ - back * pairs_];
  }

  bool is_steady(std::size_t p) {
    const std::size_t before = boundary(p, 2);
    const std::size_t middle = boundary(p, 1);
    const std::size_t behind = boundary(p, 0);
    if (behind - middle != middle - before) return false;
    Time host;
    for (std::size_t i = middle; i < behind; ++i) {
      if (!repeats(p, i, i - (middle - before))) return false;
      const Task& task = graph_.programs[p].tasks[i];
      if (task.stream == Stream::compute) host += times_[static_cast<std::size_t>(task.work)].host;
    }
    return host <= *period_ && nothing_lingers(p, before);
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
  std::size_t pairs_;
  std::size_t cut_ = 0;
  std::vector<Slots> slots_;
  std::optional<Time> period_;
};

}  // namespace

std::optional<Repetition> find_repetition(const TaskGraph& graph, const std::vector<WorkTime>& times,
                                          const Timeline& timeline, std::int64_t pairs) {
  return Finder(graph, times, timeline, static_cast<std::size_t>(pairs)).find();
}

}  // namespace echelon
