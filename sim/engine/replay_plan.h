// The order in which full replay walks a task graph, made once and shared by all runs.
//
// Every task of a program is one step, walked over all ranks of its stage at once. The order is topological over stream
// order, dependences and, where collectives slow down the compute beside them, over what may run beside what: a compute
// task comes after all tasks of its rank's data stream that do not wait for it, because those alone can overlap it.
// That has no cycle as long as data tasks wait for tasks of their own rank and their data group only: what a data task
// waits for then precedes, in the compute stream, every compute task that it may run beside.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "sim/engine/replay.h"
#include "sim/graph/task_graph.h"

namespace echelon {

struct ReplayStep {
  TaskReference task;
  std::int32_t first_input = 0;  // its slots: ReplayPlan::inputs from here to the next step's
  std::int32_t slot = -1;      // where the ends of its ranks are kept until the last step that waits for it; -1 nowhere
  std::int32_t receiver = -1;  // program whose ranks get this message; -1 for what is no message
  std::int32_t data_tasks = 0;  // data stream: its position there; compute: so many of them do not wait for it
};

struct ReplayPlan {
  std::vector<ReplayStep> steps;
  std::vector<std::int32_t> inputs;
  std::int32_t slots = 0;                // that live at once
  std::vector<std::int32_t> data_tasks;  // by program: tasks on its data stream
};

// Deadlock: as in replay(). Throws InternalError where a data task waits for another program's tasks in a way that
// leaves no order (see above); only where `options` slow compute down.
std::variant<ReplayPlan, Deadlock> plan_replay(const TaskGraph& graph, const ReplayOptions& options);

}  // namespace echelon
