// Messages between pipeline stages: activations forward, their gradients backward.
//
// A pass may wait for a message that its sender has not been given yet, since ranks are written one after another.
// Order of calls: (await | send, or their likes)* for all ranks, then resolve once.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "strategies/lowering/stage_share.h"
#include "strategies/pipeline/schedule.h"

namespace echelon {

class StageMessages {
 public:
  using Slot = std::size_t;  // (stage, micro-batch, slice)

  StageMessages(const LoweringInput& input, const StageShare& share, Lowering& into);

  // Between stages of unlike tensor degrees, appends what puts the message together on the rank: true if `action` on
  // `stage` needs it, whose task comes next and then waits for nothing else.
  bool assemble(std::size_t rank, std::size_t stage, const Action& action);
  // The task that was appended last to the rank's program waits for the message that `action` on `stage` needs, if any.
  // A pipeline that never empties has it.
  void await(std::size_t rank, std::size_t stage, const Action& action);
  // Sends what `action` on `stage` made, if another stage wants it.
  void send(std::size_t rank, std::size_t stage, const Action& action);
  Slot slot_of(std::size_t stage, const Action& action) const;
  // Without slices: a dependence that await() left open, for so many micro-batches later.
  static TaskReference await_like(TaskReference awaited, std::int32_t later) {
    return {awaited.program, awaited.task + 2 * later};
  }
  // The same: `action` sends as its like in that slot, of that micro-batch, did, by the task `later` behind its.
  void send_like(Slot like, const Action& action, std::int32_t micro_batch, TaskId later) {
    if (action.pass == Pass::weight_gradient) return;
    auto& sent = action.pass == Pass::forward ? sent_forward_ : sent_backward_;
    const TaskReference message = sent[like];
    const auto slot = static_cast<std::ptrdiff_t>(like) + action.micro_batch - micro_batch;
    sent[static_cast<std::size_t>(slot)] = {message.program, message.task + later};
  }
  // Puts the sending tasks in place of what await() left open.
  void resolve();

 private:
  // The neighbouring stage whose message the pass waits for, or to which it sends; none where it lies on the same rank.
  std::optional<std::size_t> sender(std::size_t rank, std::size_t stage, const Action& action) const;
  std::optional<std::size_t> receiver(std::size_t rank, std::size_t stage, const Action& action) const;
  std::optional<std::size_t> elsewhere(std::size_t rank, std::size_t stage) const;
  // Elements of a token that pass between two stages, times the slice's share of the tokens.
  double elements(std::size_t stage, std::size_t to, std::int32_t slice) const;
  // Bytes of the hidden states of one slice of a micro-batch that pass between two stages, in one of so many parts.
  Bytes message(std::size_t stage, std::size_t to, std::int64_t parts, std::int32_t slice) const;
  // Of what `stage`, on `rank`, sends to the stage `to` before or after it.
  WorkId transfer_work(std::size_t rank, std::size_t stage, std::size_t to, std::int32_t slice);
  WorkId assembly_work(std::size_t rank, std::size_t stage, std::size_t from, std::int32_t slice);
  const RankKind& kind_of(std::size_t rank) const;
  // Whether the message is a rank's own share alone.
  bool divides() const {
    return input_.strategy.sequence_parallel || input_.strategy.divides_messages || tensor_grid(input_.strategy);
  }

  LoweringInput input_;
  const StageShare& share_;
  Lowering& into_;
  std::vector<TaskReference> sent_forward_;  // by slot
  std::vector<TaskReference> sent_backward_;
  // By same_node, bridges, elements of a token and the kinds of both ends.
  std::map<std::tuple<bool, bool, double, std::int32_t, std::int32_t>, WorkId> transfer_works_;
  std::map<std::pair<std::int32_t, double>, WorkId> assembly_works_;  // by kind of rank and elements of a token
  std::map<std::pair<std::size_t, std::size_t>, bool> bridges_;       // by rank
};

}  // namespace echelon
