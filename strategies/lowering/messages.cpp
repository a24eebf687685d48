#include "strategies/lowering/messages.h"

#include <algorithm>

#include "strategies/lowering/rank_kinds.h"
#include "strategies/lowering/tasks.h"
#include "strategies/mesh.h"
#include "strategies/pipeline/slices.h"

namespace echelon {

namespace {

// Program of a dependence on a message whose slot and direction the task names.
constexpr std::int32_t left_open = -1;

TaskReference open(std::size_t slot, bool forward) {
  return {left_open, static_cast<TaskId>(2 * slot + (forward ? 1 : 0))};
}

}  // namespace

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
  return elsewhere(rank, forward ? share_.before(stage) : share_.after(stage));
}

std::optional<std::size_t> StageMessages::receiver(std::size_t rank, std::size_t stage, const Action& action) const {
  const bool forward = action.pass == Pass::forward;
  if (action.pass == Pass::weight_gradient || (forward ? share_.is_last(stage) : share_.is_first(stage)))
    return std::nullopt;
  return elsewhere(rank, forward ? share_.after(stage) : share_.before(stage));
}

void StageMessages::await(std::size_t rank, std::size_t stage, const Action& action) {
  const bool runs_on = share_.schedule().versions != WeightVersions::one;  // the message came a period ago
  if (const auto from = sender(rank, stage, action); from && !runs_on)
    into_.graph.programs[rank].depend(open(slot_of(*from, action), action.pass == Pass::forward));
}

void StageMessages::resolve() {
  for (Program& program : into_.graph.programs)
    for (TaskReference& on : program.dependences)
      if (on.program == left_open) {
        const auto slot = static_cast<std::size_t>(on.task / 2);
        on = on.task % 2 == 1 ? sent_forward_[slot] : sent_backward_[slot];
      }
}

void StageMessages::send(std::size_t rank, std::size_t stage, const Action& action) {
  const auto to = receiver(rank, stage, action);
  if (!to) return;
  const bool forward = action.pass == Pass::forward;
  const bool beside = input_.strategy.overlap_pipeline;
  Program& program = into_.graph.programs[rank];
  const TaskId producer = last_task(program);
  const TaskId id = program.append(task_of(action, forward ? TaskKind::send_activation : TaskKind::send_gradient,
                                           beside ? Stream::pipeline : Stream::compute,
                                           transfer_work(rank, stage, *to, action.slice)));
  if (beside) program.depend(reference(rank, last_compute(program, producer)));
  (forward ? sent_forward_ : sent_backward_)[slot_of(stage, action)] = reference(rank, id);
}

const RankKind& StageMessages::kind_of(std::size_t rank) const {
  return into_.kinds[static_cast<std::size_t>(into_.kind_of[rank])];
}

double StageMessages::elements(std::size_t stage, std::size_t to, std::int32_t slice) const {
  return share_.handed_on(std::min(stage, to)) * slice_part(input_.strategy, into_.sequence, slice).share;
}

Bytes StageMessages::message(std::size_t stage, std::size_t to, std::int64_t parts, std::int32_t slice) const {
  return into_.execution.activation_element * (into_.tokens * elements(stage, to, slice) / static_cast<double>(parts));
}

// Sequence parallelism sends each rank's share, and so does Megatron's scatter-gather optimisation (arXiv:2104.04473,
// section 4.1). Between unlike degrees every rank sends and gets an even part of the whole, and the busier end is that
// of fewer ranks (cross-mesh resharding with local all-gather: Alpa, arXiv:2201.12023, section 6).
WorkId StageMessages::transfer_work(std::size_t rank, std::size_t stage, std::size_t to, std::int32_t slice) {
  const std::size_t receiver = share_.rank_of(to);
  const auto ours = static_cast<std::int64_t>(rank);
  const auto theirs = static_cast<std::int64_t>(receiver);
  const Mesh& mesh = input_.strategy.mesh;
  const bool same_node = pipeline_ranks_share_node(mesh, ours, theirs, input_.placement.gpus_per_node);
  const auto [bridge, is_unknown] = bridges_.try_emplace({rank, receiver}, false);
  if (is_unknown) bridge->second = stages_bridge(mesh, input_.placement, rank, receiver);
  const auto key = std::make_tuple(same_node, bridge->second, elements(stage, to, slice), into_.kind_of[rank],
                                   into_.kind_of[receiver]);
  const auto [known, is_new] = transfer_works_.try_emplace(key, -1);
  if (!is_new) return known->second;
  const std::int64_t fewer = std::min(kind_of(rank).tensor, kind_of(receiver).tensor);
  const bool in_parts = divides() || kind_of(rank).tensor != kind_of(receiver).tensor;
  const Bytes bytes = message(stage, to, in_parts ? fewer : 1, slice);
  return known->second = add_work(into_, rank, TransferWork{bytes, same_node, bridge->second}, receiver);
}

bool StageMessages::assemble(std::size_t rank, std::size_t stage, const Action& action) {
  const auto from = sender(rank, stage, action);
  if (!from || input_.strategy.sequence_parallel) return false;
  const std::int64_t tensor = kind_of(rank).tensor;
  if (tensor == 1 || tensor == kind_of(share_.rank_of(*from)).tensor) return false;
  const bool forward = action.pass == Pass::forward;
  into_.graph.programs[rank].append(task_of(action, forward ? TaskKind::send_activation : TaskKind::send_gradient,
                                            Stream::compute, assembly_work(rank, stage, *from, action.slice)));
  await(rank, stage, action);
  return true;
}

WorkId StageMessages::assembly_work(std::size_t rank, std::size_t stage, std::size_t from, std::int32_t slice) {
  const auto [known, is_new] = assembly_works_.try_emplace({into_.kind_of[rank], elements(stage, from, slice)}, -1);
  if (!is_new) return known->second;
  const GroupLayout& group = kind_of(rank).groups[static_cast<std::size_t>(Axis::tensor)];
  const CollectiveWork gather{CollectiveKind::all_gather, group, message(stage, from, 1, slice), 1};
  return known->second = add_work(into_, rank, CollectiveChain{{gather}, {}, Axis::pipeline});
}

}  // namespace echelon
