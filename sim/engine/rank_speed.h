// How much longer than nominal a rank takes: its faults times seeded jitter.
//
// Draws have no state: number `task` of rank r in run n is a hash of (seed, n, task, r) by the output function of
// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), so that no order of evaluation changes them. Normal draws are
// quantiles of uniform ones.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "sim/base/units.h"
#include "sim/engine/full_replay.h"
#include "sim/hardware/variation.h"

namespace echelon {

// What is drawn for; each has draws of its own.
enum class DrawKind : std::uint8_t { kernels, links };

class RankSpeed {
 public:
  // `ranks`: of the engine.
  RankSpeed(const RankVariation& variation, std::int64_t run, std::int64_t ranks);

  // Whether any rank may differ from nominal at all.
  bool varies() const { return varies_; }

  // Device time of a task that nominally takes `device`; `task` numbers it among all tasks. For a message both ends
  // count, elsewhere `receiver` is the rank itself.
  Time duration(Time device, const WorkParts& parts, std::int64_t task, std::int64_t rank, std::int64_t receiver,
                Time start) const;

 private:
  double fault(std::int64_t rank, Time start, double RankFault::*factor) const;
  double jitter(DrawKind kind, std::int64_t task, std::int64_t rank) const;

  struct Jitter {
    double variation = 0;  // coefficient of
    double sigma = 0;      // of the logarithm, where the shape is lognormal
  };

  JitterShape shape_;
  std::array<Jitter, 2> jitters_;    // by DrawKind
  std::vector<RankFault> faults_;    // by rank, then as given
  std::vector<std::int32_t> first_;  // by rank: its first entry in faults_, -1 for none; empty without faults
  std::uint64_t key_;
  std::int64_t ranks_;
  bool varies_;
};

}  // namespace echelon
