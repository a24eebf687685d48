// The processes that mpirun started together, sharing one sweep: the leader hands out ranges (range_ledger.h), computes
// beside it, and writes; the others compute. One thread a process.
//
//   const auto group = ProcessGroup::join();
//   if (group && !group->leads()) { group->work(...); return; }
//   ... the leader opens the file ...
//   group->sweep(...)
//
// Messages: leader -> worker a range, or the end; worker -> leader the rows of a range, that it failed, or goodbye. All
// processes run the same program on the same kind of machine: numbers travel as they lie in memory.
#pragma once

#include <functional>
#include <memory>

#include "sim/sweep/sweep.h"

namespace echelon {

class ProcessGroup {
 public:
  // Null where this process was not started with others. Throws InputError where it was and the program was built
  // without MPI.
  static std::unique_ptr<ProcessGroup> join();

  // The leader dismisses the others first, whatever happened: waits for the range that each is at.
  virtual ~ProcessGroup() = default;

  virtual bool leads() const = 0;

  // Of the leader: what run_sweep() does. Throws InputError also for what went wrong in another process.
  virtual void sweep(PointEvaluator& evaluator, RowSink& sink, const SweepOptions& options) = 0;

  // Of the others: computes until the leader dismisses it. What `make` or a point throws is told to the leader.
  virtual void work(const std::function<std::unique_ptr<PointEvaluator>()>& make) = 0;
};

}  // namespace echelon
