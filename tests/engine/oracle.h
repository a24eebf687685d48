// A slow, obvious replay to hold the engine against: no events, no queue; without overlap slowdown only.
#pragma once

#include "sim/engine/replay.h"

namespace echelon::oracle {

// Relaxes start times until nothing changes; end of the last task. Host times included.
Time makespan(const TaskGraph& graph, const std::vector<WorkTime>& times);

}  // namespace echelon::oracle
