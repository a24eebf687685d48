#include "sim/engine/traffic.h"

#include "sim/base/error.h"

namespace echelon {

void TrafficRun::begin(TaskReference task, Time now) {
  std::size_t slot = running_.size();
  if (idle_.empty()) {
    running_.emplace_back();
  } else {
    slot = idle_.back();
    idle_.pop_back();
  }
  running_[slot] = {task, 0, 0};
  SIM_CHECK(begin_step(slot, now), "traffic without a flow");
}

// Begins the next step that has flows; false where there is none.
bool TrafficRun::begin_step(std::size_t slot, Time now) {
  Running& running = running_[slot];
  const TrafficPattern& pattern = traffic_.patterns[static_cast<std::size_t>(traffic_.pattern(running.task))];
  for (; running.step < pattern.steps.size() && running.flows_left == 0; ++running.step) {
    for (Flow flow : pattern.steps[running.step]) {
      flow.start = now;
      const auto id = static_cast<std::size_t>(network_.add(flow));
      if (owner_of_.size() <= id) owner_of_.resize(id + 1);
      owner_of_[id] = slot;
      ++running.flows_left;
    }
  }
  return running.flows_left > 0;
}

std::vector<TaskThrough> TrafficRun::advance(Time until) {
  std::vector<TaskThrough> through;
  for (const FlowEnd& end : network_.advance(until)) {
    const std::size_t slot = owner_of_[static_cast<std::size_t>(end.flow)];
    Running& running = running_[slot];
    if (--running.flows_left > 0 || begin_step(slot, end.time)) continue;
    const TrafficPattern& pattern = traffic_.patterns[static_cast<std::size_t>(traffic_.pattern(running.task))];
    through.push_back({running.task, end.time + pattern.after});
    idle_.push_back(slot);
  }
  return through;
}

}  // namespace echelon
