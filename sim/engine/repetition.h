// The steady state of a pipeline: where a replay begins to repeat itself, so that the micro-batches between need not be
// replayed.
//
// In schedules that alternate one forward and one backward pass, each rank r runs w(r) forwards, then pairs of forward
// slot J + w(r) and backward slot J, then the backwards that are left. Cut every rank behind pair J. What comes after
// depends on when each stream's last task before the cut ends and when messages under way across the cut end; the
// latter left their ranks in the last P pairs (P: pairs until the chunks take turns again). If each task of pairs
// J - P + 1 .. J, on every rank, starts and ends one time L after its like of the P pairs before, then so does all
// that follows: starts and ends are maxima of such times plus durations. Hence P more pairs make the iteration longer
// by exactly L, and replaying them would shift the rest by L and change nothing else, memory included. A host that
// needs no longer than L for a period stays ahead, or keeps pace.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sim/base/units.h"
#include "sim/engine/replay.h"
#include "sim/graph/task_graph.h"

namespace echelon {

// Tasks [first, last) of a program.
struct TaskRange {
  std::size_t first = 0;
  std::size_t last = 0;
};

// What stands for more than was replayed.
struct Repetition {
  Time period;                    // L
  std::vector<TaskRange> ranges;  // by program: one period
  std::int64_t times = 0;         // how often it is repeated beyond the replay

  bool covers(std::size_t program, std::size_t task) const {
    return times > 0 && task >= ranges[program].first && task < ranges[program].last;
  }
  Time skipped() const { return Time::from_picoseconds(period.picoseconds() * times); }
};

// The last whole period before the first rank runs out of forward passes; nothing where it is not steady. `pairs`: P.
// `times` of the result is 0.
std::optional<Repetition> find_repetition(const TaskGraph& graph, const std::vector<WorkTime>& times,
                                          const Timeline& timeline, std::int64_t pairs);

}  // namespace echelon
