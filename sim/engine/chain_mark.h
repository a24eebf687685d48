// The end of a task of one rank, with what full replay remembers of the chain of tasks that led to it.
//
// Which rank lost the most time along a chain is decided on the way, in constant space, by a majority vote (Boyer and
// Moore, "MJRTY - a fast majority vote algorithm", 1991) in which every task votes for its rank with the time that it
// took beyond nominal: a rank that holds more than half of all that the chain lost is the one that stands at the end.
#pragma once

#include <cstdint>

#include "sim/base/units.h"

namespace echelon {

struct ChainMark {
  Time time;                       // the end
  Time votes;                      // for `rank`, less those against it
  Time lost;                       // by `rank` since it came to stand
  Time longest;                    // delay of one task of that
  std::int32_t rank = -1;          // of the engine; -1 where nothing was lost
  std::int32_t longest_step = -1;  // of the plan: the first of the longest

  // A task of the chain took `delay` longer than nominal; less than nominal counts as nothing.
  void lose(Time delay, std::int32_t by, std::int32_t step) {
    if (delay <= Time()) return;
    if (by != rank) {
      if (delay <= votes) {
        votes -= delay;
        return;
      }
      *this = {time, delay - votes, delay, delay, by, step};
      return;
    }
    votes += delay;
    lost += delay;
    if (delay <= longest) return;
    longest = delay;
    longest_step = step;
  }
};

}  // namespace echelon
