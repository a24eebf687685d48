// What tasks send over links that other tasks may use at the same time: how long such a task takes is known only as it
// runs. The network model `flow` (sim/engine/flow.h) beside the fixed times of `analytic`.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/engine/flow.h"
#include "sim/graph/task_graph.h"

namespace echelon {

// One task's traffic, of all the ranks that its program stands for.
struct TrafficPattern {
  std::vector<std::vector<Flow>> steps;  // one after another, a flow at least in one of them; a step's flows start
                                         // together, whatever Flow::start says
  Time after;                            // that the task goes on once the last step is through
};

struct LinkTraffic {
  std::vector<ByteRate> capacities;  // by link
  std::vector<TrafficPattern> patterns;
  std::vector<std::vector<std::int32_t>> pattern_of;  // by program, by task; -1 = takes as long as its work says

  bool carries(TaskReference task) const { return pattern(task) >= 0; }
  std::int32_t pattern(TaskReference task) const {
    return pattern_of[static_cast<std::size_t>(task.program)][static_cast<std::size_t>(task.task)];
  }
};

// A task whose last byte has arrived, and when it ends.
struct TaskThrough {
  TaskReference task;
  Time end;
};

// The traffic of one replay under way.
class TrafficRun {
 public:
  // `traffic` must outlive this.
  explicit TrafficRun(const LinkTraffic& traffic) : traffic_(traffic), network_(traffic.capacities) {}

  // The task starts at `now`, which is not before any instant that advance() has reached.
  void begin(TaskReference task, Time now);
  // When a flow next begins to move or ends; Time::max() when nothing is under way.
  Time next_event_time() const { return network_.next_event_time(); }
  // Runs to `until`, at most next_event_time(); tasks whose last step is through, in the order of their ends.
  std::vector<TaskThrough> advance(Time until);

 private:
  struct Running {
    TaskReference task;
    std::size_t step = 0;
    std::size_t flows_left = 0;
  };

  bool begin_step(std::size_t running, Time now);

  const LinkTraffic& traffic_;
  FlowNetwork network_;
  std::vector<Running> running_;
  std::vector<std::size_t> idle_;      // of running_
  std::vector<std::size_t> owner_of_;  // by flow, of running_
};

}  // namespace echelon
