// Compute beside collectives: how far a compute task gets while its rank's data stream runs, which slows it down.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "sim/base/units.h"

namespace echelon {

// When a task of a data stream runs.
struct DataInterval {
  Time start;
  Time end;
};

// A compute task whose host has issued its last kernel at `issued`.
struct ComputeTask {
  Time start;
  Time device;  // at full speed
  Time issued;
};

// The end of the task beside the first `count` tasks of its data stream, which `interval(i)` gives in order: while one
// runs, the task progresses `slowdown` times slower. `cursor`: the first that may still run; of no later task ends
// before. Rounded as replay() does it, whose events these intervals are.
template <class Interval>
Time end_beside_data(const ComputeTask& task, double slowdown, std::int32_t count, std::int32_t& cursor,
                     const Interval& interval) {
  while (cursor < count && interval(cursor).end <= task.start) ++cursor;
  Time now = task.start;
  double remaining = static_cast<double>(task.device.picoseconds());
  const auto end_at = [&](double stretch) {
    return std::max(now + Time::from_picoseconds(std::llround(remaining * stretch)), task.issued);
  };
  Time end = end_at(1);
  for (std::int32_t next = cursor; next < count; ++next) {
    const DataInterval data = interval(next);
    if (data.start >= end) break;
    if (data.start > now) {
      remaining = std::max(0.0, remaining - static_cast<double>((data.start - now).picoseconds()));
      now = data.start;
    }
    end = end_at(slowdown);
    if (data.end >= end) break;
    remaining = std::max(0.0, remaining - static_cast<double>((data.end - now).picoseconds()) / slowdown);
    now = data.end;
    end = end_at(1);
  }
  return end;
}

}  // namespace echelon
