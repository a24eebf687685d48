// Memory over time: what each task takes and gives back, replayed in the order of the timeline.
#pragma once

#include <array>
#include <vector>

#include "sim/base/units.h"
#include "sim/engine/replay.h"
#include "sim/graph/task_graph.h"

namespace echelon {

// Bytes by category at the instant of the peak, and when it was.
struct MemoryPeak {
  std::array<Bytes, memory_category_count> by_category{};
  Time when;

  Bytes total() const;
};

// Peak of one program on top of what it holds all through.
MemoryPeak memory_peak(const Program& program, const std::vector<TaskTime>& times,
                       const std::array<Bytes, memory_category_count>& resident);

}  // namespace echelon
