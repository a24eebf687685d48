// The discrete-event engine: (task graph, durations) -> timeline.
//
// Folded replay: one representative rank for each program. Streams run their tasks in order; a task starts when its
// stream is free, all its dependences have ended and the host has issued it. The host issues compute tasks in program
// order, each `host` later than the one before; a task cannot end before its last kernel was issued. While a collective
// runs on the data stream of a rank, that rank's compute progresses slower by `overlap_slowdown`. Ties are broken by
// (time, insertion), so equal inputs give equal timelines.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "sim/base/units.h"
#include "sim/engine/traffic.h"
#include "sim/graph/task_graph.h"

namespace echelon {

// How long one work takes.
struct WorkTime {
  Time device;  // on its stream, alone on the device
  Time host;    // for the host to launch its kernels
};

// What works take that start at `from` or later.
struct LaterTimes {
  Time from;
  std::vector<WorkTime> times;
};

struct ReplayOptions {
  double overlap_slowdown = 1;  // >= 1
  // Tasks that share links, by program and task; absent: every task takes the time of its work.
  const LinkTraffic* traffic = nullptr;
  std::vector<LaterTimes> later{};          // by time
  std::vector<double> overlap_slowdowns{};  // by program, where they are not all `overlap_slowdown`

  double slowdown(std::size_t program) const {
    return overlap_slowdowns.empty() ? overlap_slowdown : overlap_slowdowns[program];
  }
};

// What a work takes that starts at `now`.
inline const WorkTime& time_of_work(const std::vector<WorkTime>& times, const ReplayOptions& options, WorkId work,
                                    Time now) {
  const std::vector<WorkTime>* valid = &times;
  for (const LaterTimes& later : options.later)
    if (later.from <= now) valid = &later.times;
  return (*valid)[static_cast<std::size_t>(work)];
}

struct TaskTime {
  Time start;
  Time end;
  TaskReference blocker{-1, -1};  // the dependence that ended last, if it held the task back longer than its stream did
  bool on_links = false;          // took what its traffic took
  Time sending{};                 // of a compute task: that it waited for what its layers send
};

struct Timeline {
  std::vector<std::vector<TaskTime>> tasks;  // by program, by task
  Time end;
};

// Tasks that wait for each other in a circle; the first is repeated at the end.
struct Deadlock {
  std::vector<TaskReference> cycle;
};

// `times` is indexed by Task::work.
std::variant<Timeline, Deadlock> replay(const TaskGraph& graph, const std::vector<WorkTime>& times,
                                        const ReplayOptions& options);

}  // namespace echelon
