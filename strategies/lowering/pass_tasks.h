// The forward and backward passes of layers as compute tasks: what they run and what memory they take and give back.
#pragma once

#include <cstddef>
#include <map>
#include <tuple>
#include <vector>

#include "strategies/lowering/stage_share.h"
#include "strategies/pipeline/schedule.h"

namespace echelon {

// Consecutive units [first, last) of one stage.
struct UnitRange {
  std::size_t stage = 0;
  std::size_t first = 0;
  std::size_t last = 0;
};

class PassTasks {
 public:
  PassTasks(const LoweringInput& input, const StageShare& share, Lowering& into);

  // Appends one compute task for these units; dependences are the caller's to add.
  TaskId append(std::size_t rank, const Action& action, const UnitRange& units);

  // Whether a pass of the stage begins with these units.
  bool opens(const Action& action, const UnitRange& units) const;

 private:
  bool fetches_batch(const Action& action, const UnitRange& units) const;
  // Whether the host waits in it for the device to count the tokens of experts, and so is never ahead of its start by
  // more than a layer.
  bool counts_tokens(const Action& action, const UnitRange& units) const;
  WorkId work(std::size_t rank, const UnitRange& units, const Action& action);
  void add_memory_effect(Program& program, const UnitRange& units, const Action& action) const;

  const Strategy& strategy_;
  const StageShare& share_;
  Lowering& into_;
  // Units that run alike have one work: of a single unit its block is enough, of several the first stage like theirs.
  struct WorkKey {
    std::size_t stage = 0;
    std::size_t first = 0;
    std::size_t last = 0;
    Pass pass = Pass::forward;
    std::int32_t slice = 0;
    bool fetches_batch = false;

    auto tied() const { return std::tie(stage, first, last, pass, slice, fetches_batch); }
    friend bool operator<(const WorkKey& a, const WorkKey& b) { return a.tied() < b.tied(); }
  };
  WorkKey key_of(const UnitRange& units, const Action& action) const;
  std::map<WorkKey, WorkId> works_;
  std::vector<std::size_t> like_;  // by stage: the first that runs the same
};

}  // namespace echelon
