#include "sim/engine/walk.h"

#include <algorithm>
#include <array>
#include <utility>

#include "sim/engine/beside_data.h"

namespace echelon {

namespace {

constexpr std::size_t none = SIZE_MAX;

// What of a program others may wait for.
struct Timed {
  const TaskTime* times = nullptr;  // of the tasks before `next`
  TaskId next = 0;
};

// Where the walk through one program stands.
struct Walker {
  const Program* program = nullptr;
  double slowdown = 1;
  std::vector<TaskTime> times;
  std::array<Time, stream_count> free{};  // when the last task of each stream ends
  Time host;                              // when all that was issued is
  std::vector<DataInterval> data;         // the data stream's tasks, where they slow compute down
  std::int32_t data_cursor = 0;
  std::vector<TaskTime> ahead;  // of the data tasks right behind the last compute task, timed before it
  std::size_t behind = 0;       // of those, how many lie before the next task by now
  TaskReference awaited{-1, -1};
  std::size_t waits_beside = none;  // the next program that waits for the same one
  std::size_t waiting = none;       // the first that waits for this one
};

class Walk {
 public:
  Walk(const TaskGraph& graph, const std::vector<WorkTime>& times, const ReplayOptions& options)
      : works_(times), walkers_(graph.programs.size()), timed_(walkers_.size()) {
    for (std::size_t p = 0; p < walkers_.size(); ++p) {
      walkers_[p].program = &graph.programs[p];
      walkers_[p].slowdown = options.slowdown(p);
      walkers_[p].times.reserve(graph.programs[p].tasks.size());
      timed_[p].times = walkers_[p].times.data();
    }
  }

  std::optional<Timeline> run() {
    for (std::size_t p = walkers_.size(); p-- > 0;) ready_.push_back(p);
    while (!ready_.empty()) {
      const std::size_t p = ready_.back();
      ready_.pop_back();
      advance(p);
      if (ambiguous_) return std::nullopt;
      wake(p);
    }
    Timeline timeline;
    for (std::size_t p = 0; p < walkers_.size(); ++p) {
      if (walkers_[p].times.size() < walkers_[p].program->tasks.size()) return std::nullopt;
      for (const Time end : walkers_[p].free) timeline.end = std::max(timeline.end, end);
      timeline.tasks.push_back(std::move(walkers_[p].times));
    }
    return timeline;
  }

 private:
  // Until the end of the program or a task that waits for what is not timed yet.
  void advance(std::size_t p) {
    Walker& walker = walkers_[p];
    // The compute stream is most of the work: its state stays at hand.
    Time free = walker.free[static_cast<std::size_t>(Stream::compute)];
    Time host = walker.host;
    if (const auto missing = advance(p, free, host)) wait(p, *missing);
    walker.free[static_cast<std::size_t>(Stream::compute)] = free;
    walker.host = host;
  }

  // What the next task waits for, if anything is left.
  std::optional<TaskReference> advance(std::size_t p, Time& free, Time& host) {
    Walker& walker = walkers_[p];
    const std::vector<Task>& tasks = walker.program->tasks;
    TaskId& next = timed_[p].next;
    for (auto i = static_cast<std::size_t>(next); i < tasks.size(); i = static_cast<std::size_t>(++next)) {
      const Task& task = tasks[i];
      if (walker.behind < walker.ahead.size() && task.stream == Stream::data) {
        walker.times.push_back(walker.ahead[walker.behind++]);
        continue;
      }
      const bool computes = task.stream == Stream::compute;
      TaskTime& time = walker.times.emplace_back();
      if (!gather(p, i, computes ? free : walker.free[static_cast<std::size_t>(task.stream)], time)) {
        const TaskReference missing = time.blocker;
        walker.times.pop_back();
        return missing;
      }
      if (computes) {
        if (walker.slowdown > 1) look_ahead(p, i, free);
        compute(walker, task, host, time);
        free = time.end;
      } else {
        run_beside(walker, task, free, time);
      }
    }
    return std::nullopt;
  }

  static std::size_t dependence_end(const Program& program, std::size_t task) {
    return task + 1 < program.tasks.size() ? static_cast<std::size_t>(program.tasks[task + 1].dependences)
                                           : program.dependences.size();
  }

  // The start of the task as far as its stream, free from then on, and its dependences tell, and the blocker; false
  // where that is not timed yet.
  bool gather(std::size_t p, std::size_t i, Time free, TaskTime& time) {
    const Walker& walker = walkers_[p];
    const Task& task = walker.program->tasks[i];
    const TaskReference* const last = walker.program->dependences.data() + dependence_end(*walker.program, i);
    Time latest = Time::from_picoseconds(-1);
    bool tie = false;
    for (const TaskReference* on = walker.program->dependences.data() + task.dependences; on != last; ++on) {
      const Timed& other = timed_[static_cast<std::size_t>(on->program)];
      if (on->task >= other.next) {
        time.blocker = *on;
        return false;
      }
      const Time end = other.times[on->task].end;
      if (end < latest) continue;
      tie = end == latest && (tie || !are_twins(p, *on, time.blocker));
      latest = end;
      time.blocker = *on;
    }
    time.start = std::max(free, latest);
    if (tie && latest > free) ambiguous_ = true;
    return true;
  }

  bool are_twins(std::size_t p, TaskReference a, TaskReference b) const {
    const auto own = static_cast<std::int32_t>(p);
    const auto kind = [this](TaskReference of) {
      return walkers_[static_cast<std::size_t>(of.program)].program->tasks[static_cast<std::size_t>(of.task)].kind;
    };
    return a.program != own && b.program != own && kind(a) == kind(b) && time_of(a).start == time_of(b).start;
  }

  const TaskTime& time_of(TaskReference task) const {
    return timed_[static_cast<std::size_t>(task.program)].times[task.task];
  }

  // Times the data tasks right behind compute task i that need not wait for it.
  void look_ahead(std::size_t p, std::size_t i, Time computed) {
    Walker& walker = walkers_[p];
    const auto& tasks = walker.program->tasks;
    walker.ahead.clear();
    walker.behind = 0;
    for (std::size_t j = i + 1; j < tasks.size() && tasks[j].stream == Stream::data; ++j) {
      TaskTime time;
      if (!gather(p, j, walker.free[static_cast<std::size_t>(Stream::data)], time)) return;
      run_beside(walker, tasks[j], computed, time);
      walker.ahead.push_back(time);
    }
  }

  // A task of any stream but compute, from its start. `computed`: when the last compute task that was timed ends.
  void run_beside(Walker& walker, const Task& task, Time computed, TaskTime& time) {
    time.end = time.start + works_[static_cast<std::size_t>(task.work)].device;
    walker.free[static_cast<std::size_t>(task.stream)] = time.end;
    if (task.stream != Stream::data || walker.slowdown <= 1) return;
    if (time.start < computed) ambiguous_ = true;
    walker.data.push_back({time.start, time.end});
  }

  void compute(Walker& walker, const Task& task, Time& host, TaskTime& time) {
    const WorkTime& work = works_[static_cast<std::size_t>(task.work)];
    const Time issue = task.syncs_host ? std::max(host, time.start) : host;
    host = issue + work.host;
    time.start = std::max(time.start, issue);
    const auto beside = static_cast<std::int32_t>(walker.data.size());
    if (walker.data_cursor == beside)
      time.end = std::max(time.start + work.device, host);
    else
      time.end = end_beside_data(
          {time.start, work.device, host}, walker.slowdown, beside, walker.data_cursor,
          [&walker](std::int32_t at) -> const DataInterval& { return walker.data[static_cast<std::size_t>(at)]; });
  }

  void wait(std::size_t p, TaskReference on) {
    const auto other = static_cast<std::size_t>(on.program);
    walkers_[p].awaited = on;
    walkers_[p].waits_beside = walkers_[other].waiting;
    walkers_[other].waiting = p;
  }

  // Those that wait for what program p has got through.
  void wake(std::size_t p) {
    std::size_t waiting = std::exchange(walkers_[p].waiting, none);
    while (waiting != none) {
      Walker& other = walkers_[waiting];
      const std::size_t beside = other.waits_beside;
      if (other.awaited.task < timed_[p].next)
        ready_.push_back(waiting);
      else
        wait(waiting, other.awaited);
      waiting = beside;
    }
  }

  const std::vector<WorkTime>& works_;
  std::vector<Walker> walkers_;
  std::vector<Timed> timed_;  // by program
  std::vector<std::size_t> ready_;
  bool ambiguous_ = false;
};

}  // namespace

std::optional<Timeline> walk(const TaskGraph& graph, const std::vector<WorkTime>& times, const ReplayOptions& options) {
  if (options.traffic != nullptr || !options.later.empty()) return std::nullopt;
  return Walk(graph, times, options).run();
}

}  // namespace echelon
