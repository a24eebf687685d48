#include "strategies/lowering/messages.h"

#include <algorithm>

#include "strategies/lowering/tasks.h"
#include "strategies/mesh.h"

namespace echelon {

StageMessages::StageMessages(const LoweringInput& input, const StageShare& share, Lowering& into)
    : input_(input), share_(share), into_(into) {
  const std::int64_t slots = into.micro_batches * share.schedule().shape.slices;
  sent_forward_.assign(share.stage_count() * static_cast<std::size_t>(slots), {});
  sent_backward_ = sent_forward_;
}

StageMessages::Slot StageMessages::slot_of(std::size_t stage, const Action& action) const {
  const ScheduleShape& shape = share_.schedule().shape;
  const auto slices = static_cast<std::size_t>(shape.slices);
  const std::size_t slot =
      stage * static_cast<std::size_t>(into_.micro_batches) + static_cast<std::size_t>(action.micro_batch);
  return slot * slices + static_cast<std::size_t>(action.slice);
}

std::optional<std::size_t> StageMessages::elsewhere(std::size_t rank, std::size_t stage) const {
  return share_.rank_of(stage) == rank ? std::nullopt : std::optional(stage);
}

std::optional<std::size_t> StageMessages::sender(std::size_t rank, std::size_t stage, const Action& action) const {
  const bool forward = action.pass == Pass::forward;
  if (action.pass == Pass::weight_gradient || (forward ? share_.is_first(stage) : share_.is_last(stage)))
    return std::nullopt;
  return elsewhere(rank, forward ? stage - 1 : stage + 1);
}

std::optional<std::size_t> StageMessages::receiver(std::size_t rank, std::size_t stage, const Action& action) const {
  const bool forward = action.pass == Pass::forward;
  if (action.pass == Pass::weight_gradient || (forward ? share_.is_last(stage) : share_.is_first(stage)))
    return std::nullopt;
  return elsewhere(rank, forward ? stage + 1 : stage - 1);
}

void StageMessages::await(std::size_t rank, std::size_t stage, const Action& action) {
  const bool runs_on = share_.schedule().versions != WeightVersions::one;  // the message came a period ago
  if (const auto from = sender(rank, stage, action); from && !runs_on)
    leave_open(rank, slot_of(*from, action), action.pass == Pass::forward);
}

// Program -1 marks a dependence on the message that awaited_ names.
void StageMessages::leave_open(std::size_t rank, Slot slot, bool forward) {
  into_.graph.programs[rank].depend({-1, static_cast<TaskId>(awaited_.size())});
  awaited_.emplace_back(slot, forward);
}

void StageMessages::resolve() {
  for (Program& program : into_.graph.programs)
    for (TaskReference& on : program.dependences)
      if (on.program < 0) {
        const auto [slot, forward] = awaited_[static_cast<std::size_t>(on.task)];
        on = forward ? sent_forward_[slot] : sent_backward_[slot];
      }
}

void StageMessages::send(std::size_t rank, std::size_t stage, const Action& action) {
  const auto to = receiver(rank, stage, action);
  if (!to) return;
  const bool forward = action.pass == Pass::forward;
  const bool beside = input_.strategy.overlap_pipeline;
  Program& program = into_.graph.programs[rank];
  const TaskId producer = last_task(program);
  const TaskId id =
      program.append(task_of(action, forward ? TaskKind::send_activation : TaskKind::send_gradient,
                             beside ? Stream::pipeline : Stream::compute, transfer_work(rank, stage, *to)));
  if (beside) program.depend(reference(rank, last_compute(program, producer)));
  (forward ? sent_forward_ : sent_backward_)[slot_of(stage, action)] = reference(rank, id);
}

// Hidden states of one micro-batch; sequence parallelism sends each rank's share, and so does Megatron's
// scatter-gather optimisation (arXiv:2104.04473, section 4.1).
WorkId StageMessages::transfer_work(std::size_t rank, std::size_t stage, std::size_t to) {
  const Strategy& strategy = input_.strategy;
  const bool same_node =
      pipeline_ranks_share_node(strategy.mesh, static_cast<std::int64_t>(rank),
                                static_cast<std::int64_t>(share_.rank_of(to)), input_.placement.gpus_per_node);
  const double elements = share_.handed_on(std::min(stage, to));
  const auto [known, is_new] = transfer_works_.try_emplace({same_node, elements}, -1);
  if (!is_new) return known->second;
  const bool divided = strategy.sequence_parallel || strategy.divides_messages || tensor_grid(strategy);
  const double parts = static_cast<double>((divided ? strategy.mesh.tensor : 1) * strategy.sequence_slices);
  const Bytes bytes = into_.execution.activation_element * (into_.tokens * elements / parts);
  return known->second = add_work(into_, TransferWork{bytes, same_node});
}

}  // namespace echelon
