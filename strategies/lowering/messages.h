// Messages between pipeline stages: activations forward, their gradients backward.
//
// A pass may wait for a message that its sender has not been given yet, since ranks are written one after another.
// Order of calls: (await | send)* for all ranks, then resolve once.
#pragma once

#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include "strategies/lowering/stage_share.h"
#include "strategies/pipeline/schedule.h"

namespace echelon {

class StageMessages {
 public:
  StageMessages(const LoweringInput& input, std::size_t stages, Lowering& into);

  // The task that was appended last to the rank's program waits for the message that `action` on `stage` needs, if any.
  void await(std::size_t rank, std::size_t stage, const Action& action);
  // Sends what `action` on `stage` made, if another stage wants it.
  void send(std::size_t rank, std::size_t stage, const Action& action);
  // Puts the sending tasks in place of what await() left open.
  void resolve();

 private:
  using Slot = std::size_t;  // (stage, micro-batch)

  Slot slot_of(std::size_t stage, const Action& action) const;
  void leave_open(std::size_t rank, Slot slot, bool forward);
  WorkId transfer_work(std::size_t rank, bool forward);

  LoweringInput input_;
  std::size_t stages_ = 0;
  Lowering& into_;
  std::vector<TaskReference> sent_forward_;  // by slot
  std::vector<TaskReference> sent_backward_;
  std::vector<std::pair<Slot, bool>> awaited_;    // slot and whether forward
  std::array<WorkId, 2> transfer_works_{-1, -1};  // by same_node
};

}  // namespace echelon
