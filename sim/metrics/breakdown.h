// Where one rank's iteration goes: every instant of its compute stream gets one cause.
#pragma once

#include <array>
#include <vector>

#include "sim/base/units.h"
#include "sim/engine/repetition.h"
#include "sim/engine/replay.h"
#include "sim/graph/task_graph.h"

namespace echelon {

// Causes, as `time_breakdown_s` names them.
struct Breakdown {
  Seconds compute;
  Seconds recompute;
  Seconds exposed_tp;
  Seconds exposed_pp;
  Seconds exposed_dp;
  Seconds exposed_cp;
  Seconds exposed_ep;
  Seconds offload;  // copies between the device and the host
  Seconds bubble;   // waiting for other pipeline ranks
  Seconds optimizer;
  Seconds other;       // the host was too slow to launch, and fixed host work
  Seconds stragglers;  // full replay: what ranks that differ add to the iteration; below 0 where draws were lucky

  Seconds total() const;
  // Adds `times` times each part of `other`.
  void add(const Breakdown& other, double times);
  // Adds `times` times the difference between this and `since`.
  void repeat(const Breakdown& since, double times);
};

// What the time of one work on its stream is made of.
struct WorkShare {
  Seconds compute;
  Seconds recompute;
  std::array<Seconds, 5> exposed{};  // by Axis
  Seconds host_copy;
  std::array<Seconds, 5> sent{};  // by Axis: of what flows inside layers send, by which TaskTime::sending is divided
};

// The breakdown of one program's rank; sums to the end of the iteration, repetitions included. Gaps are laid to the
// dependence that ended last: a message counts as exposed for as long as it was under way, and as bubble before that.
Breakdown break_down(const TaskGraph& graph, const Timeline& timeline, const std::vector<WorkShare>& shares,
                     std::size_t program, const Repetition& repetition = {});

// The program whose compute stream is busiest: the rank that sets the pace.
std::size_t critical_program(const TaskGraph& graph, const Timeline& timeline, const Repetition& repetition = {});

}  // namespace echelon
