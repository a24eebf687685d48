// What tasks send over links that other tasks may use at the same time: how long such a task takes is known only as it
// runs. The network model `flow` (sim/engine/flow.h) beside the fixed times of `analytic`.
//
// A task's flows belong to groups of ranks that run it together: one group for each communicator, one for each message.
// Folded replay begins them all at once, full replay (sim/engine/full_flow_replay.h) each group when its ranks are
// there. What other jobs send on the same links runs beside both; and from an instant of the iteration on, flows may
// take other ways, because links are down.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "sim/engine/flow.h"
#include "sim/graph/task_graph.h"

namespace echelon {

inline constexpr std::int32_t all_groups = -1;

// Whose a flow is.
struct FlowOwner {
  std::int32_t group = 0;    // lowest rank of the stage that runs the task with it; a step's flows are sorted by it
  std::int32_t sender = -1;  // ranks of the engine whose links it leaves and enters a node by; -1 = it stays inside
  std::int32_t receiver = -1;
};

// One task's traffic, of all the ranks that its program stands for.
struct TrafficPattern {
  std::vector<std::vector<Flow>> steps;  // one after another, a flow at least in one of them; a step's flows start
                                         // together, whatever Flow::start says
  Time after;                            // that the task goes on once the last step is through
  std::vector<std::vector<FlowOwner>> owners;  // by step, by flow; empty: all flows are of one group
};

// What another job sends: its steps again and again, as a collective that waits for the one before it.
struct BackgroundTraffic {
  TrafficPattern pattern;
  Time first;  // of the iteration, when it begins
  Time every;  // from one beginning to the next, or later where the one before takes longer; 0 = at once
};

// From `from` on, flows take other ways. `patterns` and `background` are those of the traffic with other routes and
// nothing else; a flow under way over a link of `down` goes on by its new route.
struct LaterRoutes {
  Time from;
  std::vector<bool> down;  // by link
  std::vector<TrafficPattern> patterns;
  std::vector<TrafficPattern> background;
};

// A compute task whose layers send while they run. Its turns, one after another, are each some of its compute, then a
// step of the pattern with more compute beside it; a turn is over when both are.
struct LayerTurn {
  double before = 0;     // of the work's device time: ahead of the flows
  double beside = 0;     // the same: beside them
  std::size_t step = 0;  // of the pattern
};
struct LayerFlows {
  std::int32_t pattern = 0;  // of LinkTraffic::patterns
  std::vector<LayerTurn> turns;
};

struct LinkTraffic {
  std::vector<ByteRate> capacities;  // by link
  std::vector<TrafficPattern> patterns;
  std::vector<std::vector<std::int32_t>> pattern_of;  // by program, by task; -1 = takes as long as its work says
  std::vector<BackgroundTraffic> background;
  std::vector<LaterRoutes> later;  // by time
  std::vector<LayerFlows> layers{};
  std::vector<std::vector<std::int32_t>> layers_of{};  // by program, by task; -1 = its layers send nothing; empty: none

  bool carries(TaskReference task) const { return pattern(task) >= 0; }
  // What the layers of a compute task send; null: nothing.
  const LayerFlows* inside(TaskReference task) const {
    if (layers_of.empty()) return nullptr;
    const auto index = layers_of[static_cast<std::size_t>(task.program)][static_cast<std::size_t>(task.task)];
    return index < 0 ? nullptr : &layers[static_cast<std::size_t>(index)];
  }
  std::int32_t pattern(TaskReference task) const {
    return pattern_of[static_cast<std::size_t>(task.program)][static_cast<std::size_t>(task.task)];
  }
};

// A task of a group (or of all), or a step of its layers, whose last byte has arrived, and when it ends.
struct TaskThrough {
  TaskReference task;
  Time end;
  std::int32_t group = all_groups;
  LinkId held_by = -1;  // link that the last flow waited for most; -1 = none: it went as fast as it may
  FlowOwner last;       // of that flow
  double stretch = 1;   // that it was given
};

// How many times as long the flow of a task takes as its bytes would, for a rank whose links are slow; asked when a
// step begins.
using FlowStretch = std::function<double(TaskReference, const FlowOwner&, Time)>;

// The traffic of one replay under way.
class TrafficRun {
 public:
  // `traffic` must outlive this.
  explicit TrafficRun(const LinkTraffic& traffic, FlowStretch stretch = {});

  // The task, or one group's part of it, starts at `now`, which is not before any instant that advance() has reached.
  // False where the group sends nothing: it is through at once.
  bool begin(TaskReference task, Time now, std::int32_t group = all_groups);
  // The same for one step of what the task's layers send.
  bool begin_step(TaskReference task, std::size_t step, Time now, std::int32_t group = all_groups);
  // When a flow next begins to move or ends, or a way changes; Time::max() when no task's traffic is under way.
  Time next_event_time() const;
  // Runs to `until`, at most next_event_time(); tasks whose last step is through, in the order of their ends.
  std::vector<TaskThrough> advance(Time until);

 private:
  struct Running {
    TaskReference task;  // program -1: the background of that number
    std::int32_t group = all_groups;
    std::size_t step = 0;  // the next
    std::size_t end = 0;   // of its steps
    std::size_t flows_left = 0;
    Time begun;
  };
  struct Sent {  // by flow of the network
    std::size_t slot = 0;
    std::size_t step = 0;
    std::size_t flow = 0;  // of the step
    double stretch = 1;
    bool running = false;
  };

  Time next_change() const;
  std::size_t free_slot();
  bool begin(const Running& running);
  bool begin_next(std::size_t slot, Time now);
  void send(std::size_t slot, std::size_t flow, Time now);
  const TrafficPattern& pattern_of(const Running& running) const;
  void begin_background(std::size_t number, Time now);
  void change_routes();

  const LinkTraffic& traffic_;
  FlowStretch stretch_;
  FlowNetwork network_;
  std::vector<Running> running_;
  std::vector<std::size_t> idle_;  // of running_
  std::vector<Sent> sent_;
  std::size_t changes_ = 0;  // of routes that have come about
  std::int64_t tasks_ = 0;   // under way
};

}  // namespace echelon
