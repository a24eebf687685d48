// Messages between pipeline stages: activations forward, their gradients backward.
//
// A pass may wait for a message that its sender has not been given yet, since ranks are written one after another.
// Order of calls: (await | send)* for all ranks, then resolve once.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "strategies/lowering/stage_share.h"
#include "strategies/pipeline/schedule.h"

namespace echelon {

class StageMessages {
 public:
  StageMessages(const LoweringInput& input, const StageShare& share, Lowering& into);

  // The task that was appended last to the rank's program waits for the message that `action` on `stage` needs, if any.
  // A pipeline that never empties has it.
  void await(std::size_t rank, std::size_t stage, const Action& action);
  // Sends what `action` on `stage` made, if another stage wants it.
  void send(std::size_t rank, std::size_t stage, const Action& action);
  // Puts the sending tasks in place of what await() left open.
  void resolve();

 private:
  using Slot = std::size_t;  // (stage, micro-batch)

  Slot slot_of(std::size_t stage, const Action& action) const;
  void leave_open(std::size_t rank, Slot slot, bool forward);
  // The neighbouring stage whose message the pass waits for, or to which it sends; none where it lies on the same rank.
  std::optional<std::size_t> sender(std::size_t rank, std::size_t stage, const Action& action) const;
  std::optional<std::size_t> receiver(std::size_t rank, std::size_t stage, const Action& action) const;
  std::optional<std::size_t> elsewhere(std::size_t rank, std::size_t stage) const;
  // Of what `stage`, on `rank`, sends to the stage `to` before or after it, of this slice.
  WorkId transfer_work(std::size_t rank, std::size_t stage, std::size_t to, std::int32_t slice);

  LoweringInput input_;
  const StageShare& share_;
  Lowering& into_;
  std::vector<TaskReference> sent_forward_;  // by slot
  std::vector<TaskReference> sent_backward_;
  std::vector<std::pair<Slot, bool>> awaited_;                // slot and whether forward
  std::map<std::pair<bool, double>, WorkId> transfer_works_;  // by same_node and elements of a token, sliced
};

}  // namespace echelon
