// What full replay adds to a result: how ranks that differ lengthen the iteration, and which of them sets the pace.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sim/base/units.h"

namespace echelon {

// A rank and where it stands on each axis.
struct RankPlace {
  std::int64_t rank = 0;
  std::int64_t data = 0;
  std::int64_t tensor = 0;
  std::int64_t pipeline = 0;
  std::int64_t context = 0;
};

// The rank that set the pace in most runs (of several, the lowest): the one that lost the most time on the critical
// chain (sim/engine/full_replay.h). The times are of the run in which it lost the most.
struct Pace {
  RankPlace place;
  Seconds lost;
  std::string task;  // of its tasks the one that lost the most, as describe() says it
  Seconds delay;     // of that task
  std::int64_t runs = 0;
};

// The link that the flows on the critical chain waited for, in most runs (sim/engine/full_replay.h).
struct PacingLink {
  std::string from;  // parts of the topology
  std::string to;
  Seconds held;  // that tasks of the chain took on links while it held them back, in the run where that was longest
  std::int64_t runs = 0;
};

struct RankReplay {
  std::int64_t ranks = 0;
  std::int64_t runs = 1;
  Seconds alike;  // the iteration with nothing to tell ranks apart
  Seconds p5;     // of the runs' iteration times
  Seconds p50;
  Seconds p95;
  // Share of the iteration in which a rank's compute stream has no task of its own to run; means over the runs.
  double least_idle = 0;  // of the busiest rank
  double mean_idle = 0;
  std::optional<Pace> pace;        // nothing where no task of a critical chain took longer than nominal
  std::optional<PacingLink> link;  // network model `flow`; nothing where no full link held a chain back
};

}  // namespace echelon
