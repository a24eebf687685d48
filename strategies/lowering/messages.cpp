#include "strategies/lowering/messages.h"

#include "strategies/lowering/tasks.h"
#include "strategies/mesh.h"

namespace echelon {

StageMessages::StageMessages(const LoweringInput& input, std::size_t stages, Lowering& into)
    : input_(input), stages_(stages), into_(into) {
  sent_forward_.assign(stages * static_cast<std::size_t>(into.micro_batches), {});
  sent_backward_ = sent_forward_;
}

StageMessages::Slot StageMessages::slot_of(std::size_t stage, const Action& action) const {
  return stage * static_cast<std::size_t>(into_.micro_batches) + static_cast<std::size_t>(action.micro_batch);
}

void StageMessages::await(std::size_t rank, std::size_t stage, const Action& action) {
  if (input_.strategy.mesh.pipeline == 1 || action.pass == Pass::weight_gradient) return;
  const bool forward = action.pass == Pass::forward;
  if (forward && stage > 0) leave_open(rank, slot_of(stage - 1, action), true);
  if (!forward && stage + 1 < stages_) leave_open(rank, slot_of(stage + 1, action), false);
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
  const bool forward = action.pass == Pass::forward;
  const bool has_receiver = forward ? stage + 1 < stages_ : stage > 0;
  if (input_.strategy.mesh.pipeline == 1 || !has_receiver || action.pass == Pass::weight_gradient) return;
  const bool beside = input_.strategy.overlap_pipeline;
  Program& program = into_.graph.programs[rank];
  const TaskId producer = last_task(program);
  const TaskId id = program.append(task_of(action, forward ? TaskKind::send_activation : TaskKind::send_gradient,
                                           beside ? Stream::pipeline : Stream::compute, transfer_work(rank, forward)));
  if (beside) program.depend(reference(rank, last_compute(program, producer)));
  (forward ? sent_forward_ : sent_backward_)[slot_of(stage, action)] = reference(rank, id);
}

// Hidden states of one micro-batch; sequence parallelism sends each rank's share, and so does Megatron's
// scatter-gather optimisation (arXiv:2104.04473, section 4.1).
WorkId StageMessages::transfer_work(std::size_t rank, bool forward) {
  const Strategy& strategy = input_.strategy;
  const std::int64_t gpus_per_node = input_.placement.gpus_per_node;
  const std::int64_t ranks = strategy.mesh.pipeline;
  const auto here = static_cast<std::int64_t>(rank);
  const std::int64_t lower = forward ? here : here - 1;
  const bool wraps = lower < 0 || lower + 1 >= ranks;
  const bool same_node = wraps ? axis_stride(strategy.mesh, Axis::pipeline) * ranks <= gpus_per_node
                               : pipeline_neighbours_share_node(strategy.mesh, lower, gpus_per_node);
  WorkId& known = transfer_works_[same_node];
  if (known >= 0) return known;
  const bool divided = strategy.sequence_parallel || strategy.divides_messages;
  const double share = divided ? 1.0 / static_cast<double>(strategy.mesh.tensor) : 1.0;
  const Bytes bytes =
      into_.execution.activation_element * (into_.tokens * static_cast<double>(input_.model.hidden) * share);
  return known = add_work(into_, TransferWork{bytes, same_node});
}

}  // namespace echelon
