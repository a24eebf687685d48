// A round of steps of groups that train apart: how its exchanges lie among its iterations, and what the result shows.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sim/base/units.h"

namespace echelon {

// One fragment of the model, that the groups synchronise once a round.
struct FragmentTimes {
  std::int64_t step = 0;  // of the round, from 0, after which it is sent
  Seconds exchange;       // with nothing beside it
  Seconds update;         // what the devices do for it: the delta, the outer step
};

struct RoundTime {
  Seconds whole;   // of a round
  Seconds waited;  // of that, for exchanges
};

// Iterations of `iteration`, `every` a round. A fragment is sent after its step, behind those sent before it on the
// same links, and used `delay` steps later, 0 <= delay < every: until it is there training waits. The mean over rounds
// once they repeat themselves, with few rounds the first of which has nothing under way. `fragments`: by step.
RoundTime time_round(Seconds iteration, std::int64_t every, std::int64_t delay,
                     const std::vector<FragmentTimes>& fragments);

struct LocalRound {
  std::int64_t groups = 1;
  std::int64_t steps = 1;  // from one synchronisation of a parameter to the next, the one that synchronises included
  std::int64_t fragments = 1;
  std::int64_t delay = 0;         // steps that an exchange may take before training waits for it
  Seconds between;                // an iteration that does not synchronise
  Seconds closing;                // one that does, waiting included; the mean of the round's
  Seconds exchange;               // of the fragment that takes longest
  Seconds exposed;                // waiting of a round
  Bytes sent;                     // that one group's ranks send in a round
  Bytes largest;                  // and for the fragment that is largest
  std::optional<Seconds> window;  // that the largest may take unseen, `delay` iterations at most; none: 0

  // That a group's ranks send at together while an exchange runs, and that would hide the largest.
  ByteRate peak_rate() const { return ByteRate(exchange > Seconds(0) ? largest.value() / exchange.value() : 0); }
  std::optional<ByteRate> hiding_rate() const {
    if (!window) return std::nullopt;
    return ByteRate(largest.value() / window->value());
  }
};

}  // namespace echelon
