// The steady state of a pipeline: where a replay begins to repeat itself, so that the micro-batches between need not be
// replayed.
//
// In schedules that alternate one forward and one backward pass, each rank r runs w(r) forwards, then pairs of forward
// slot J + w(r) and backward slot J, then the backwards that are left. Cut every rank behind pair J. What comes after
// depends on when each stream's last task before the cut ends, when messages under way across the cut end, and how far
// the host is ahead. Messages under way left their ranks in the last D pairs, D <= P (P: pairs until the chunks take
// turns again; of p ranks' interleaved 1F1B D is p: what the last rank sends to the first, and back). If each task of
// pairs J - D + 1 .. J, on every rank, starts and ends one time L after its like of P pairs before, then so does all
// that follows: starts and ends are maxima of such times plus durations. Hence P more pairs make the iteration longer
// by exactly L, and replaying them would shift the rest by L and change nothing else, memory included.
//
// The host must do the same. Where one of the tasks compared makes it wait for the device, it goes on from that task's
// start. Where it never waits and needs no longer than L for P pairs, it stays as far ahead as before or gets further;
// then what it held back in the last P pairs would come earlier in the next, so nothing may have been held back. Where
// two whole periods can be compared (D = P), all tasks that might have been held back are. Nor may it hold back
// anything behind the cut if it gets further ahead.
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
  bool seen_once = false;         // the period before it was not compared with it: sums take its first repetition as
                                  // if it had been replayed, and come out as where it was

  bool covers(std::size_t program, std::size_t task) const {
    return times > 0 && task >= ranges[program].first && task < ranges[program].last;
  }
  Time skipped() const { return Time::from_picoseconds(period.picoseconds() * times); }
};

// P and D of a schedule.
struct SteadyPairs {
  std::int64_t period = 1;
  std::int64_t under_way = 1;
};

// The last whole period before the first rank runs out of forward passes; nothing where it is not steady. `times` of
// the result is 0. Compares two periods where the graph has as many, else D pairs.
std::optional<Repetition> find_repetition(const TaskGraph& graph, const std::vector<WorkTime>& times,
                                          const Timeline& timeline, const SteadyPairs& pairs);

}  // namespace echelon
