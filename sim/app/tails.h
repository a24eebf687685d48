// How long the rest of an iteration takes behind each task of a replay, at least.
#pragma once

#include <cstddef>
#include <vector>

#include "sim/app/simulate.h"

namespace echelon {

// Of which tasks the time counts.
enum class TailCount {
  all,      // of every stream
  computed  // of the compute stream and of messages: what data-parallel collectives take is left out
};

// For every task the longest chain of device times that waits for it, along streams and dependences.
class Tails {
 public:
  // `replayed` outlives it.
  Tails(const Replayed& replayed, TailCount counted);

  Time of(std::size_t program, std::size_t task) const { return tails_[program][task]; }

 private:
  std::vector<TaskReference> latest_first();
  const TaskTime& time_of(const TaskReference& task) const;
  void offer(const TaskReference& to, Time chain);
  void offer_to_predecessors(const TaskReference& task);

  const Replayed& replayed_;
  TailCount counted_;
  std::vector<std::vector<Time>> tails_;
  std::vector<std::vector<TaskId>> previous_;  // of the same stream; -1: none
};

}  // namespace echelon
