#include "strategies/lowering/optimizer_step.h"

#include <algorithm>

#include "strategies/lowering/rank_kinds.h"
#include "strategies/lowering/tasks.h"
#include "strategies/mesh.h"

namespace echelon {

namespace {

TaskId last_before_optimizer(const Program& program) {
  TaskId task = last_task(program);
  while (program.tasks[static_cast<std::size_t>(task)].kind != TaskKind::optimizer) --task;
  return last_compute(program, task - 1);
}

}  // namespace

OptimizerStep::OptimizerStep(const LoweringInput& input, const StageShare& share, const DataSharding& sharding,
                             OffloadTraffic& offload, Lowering& into)
    : input_(input),
      share_(share),
      sharding_(sharding),
      rounds_(input, share, sharding),
      offload_(offload),
      into_(into) {}

void OptimizerStep::append(std::size_t rank, std::optional<TaskId> last_reduction) {
  const StageState state = share_.rank_state(rank);
  Program& program = into_.graph.programs[rank];
  const Action closing{Pass::backward, 0, static_cast<std::int32_t>(into_.micro_batches - 1)};
  if (sharding_.reduces_at_the_end())
    program.append(task_of(closing, TaskKind::gradient_reduce, Stream::compute,
                           add_work(into_, rank, sharding_.closing_reduction(state))));
  add_tied_gradients(rank, closing);
  offload_.close_gradients(rank, closing, state);
  OptimizerWork update = offload_.step(state);
  if (share_.schedule().versions == WeightVersions::in_flight)
    update.elements *= static_cast<double>(into_.micro_batches);
  program.append(task_of(closing, TaskKind::optimizer, Stream::compute, add_work(into_, rank, update)));
  if (input_.strategy.offload.optimizer == OffloadTarget::none)
    program.effect({MemoryCategory::optimizer, sharding_.step_memory(state), Bytes(0), Bytes(0)});
  if (last_reduction) program.depend(reference(rank, *last_reduction));
  if (const auto last = offload_.last_shed(rank)) program.depend(reference(rank, *last));
  wait_for_all_ranks(rank);
  synchronise_groups(rank, closing);
  offload_.move_weights(rank, closing, state);
  if (sharding_.updates_sharded_weights() && !input_.strategy.overlap_parameter_gather)
    program.append(task_of(closing, TaskKind::parameter_gather, Stream::compute,
                           add_work(into_, rank, sharding_.closing_gather(state))));
  into_.parameters.push_back(state.dense + state.routed);
  into_.resident.push_back(sharding_.resident_memory(state));
  into_.resident.back()[static_cast<std::size_t>(MemoryCategory::parameters)] += older_weights(rank, state);
  into_.resident.back()[static_cast<std::size_t>(MemoryCategory::optimizer)] += rounds_.kept_on_device(rank);
  into_.resident.back()[static_cast<std::size_t>(MemoryCategory::communication)] += rounds_.under_way(rank);
  into_.host_memory.push_back(offload_.host_memory(rank, state) + rounds_.kept_on_host(rank));
}

// Versions beside the newest: one, or those of the other micro-batches in flight (rank r of p holds up to p - r).
Bytes OptimizerStep::older_weights(std::size_t rank, const StageState& state) const {
  const Schedule& schedule = share_.schedule();
  if (schedule.versions == WeightVersions::one) return Bytes(0);
  const std::int64_t in_flight =
      std::min(schedule.shape.micro_batches, schedule.shape.ranks - static_cast<std::int64_t>(rank));
  const double older = schedule.versions == WeightVersions::two ? 1 : static_cast<double>(in_flight - 1);
  return compute_weight(input_.workload) * ((state.dense + state.routed) * older);
}

// The gradient norm is reduced over all ranks before any optimizer step, but where the pipeline never empties or the
// norm is checked afterwards.
void OptimizerStep::wait_for_all_ranks(std::size_t rank) {
  if (share_.schedule().versions != WeightVersions::one || input_.strategy.optimizer_post_validation) return;
  const auto& programs = into_.graph.programs;
  for (std::size_t other = 0; other < programs.size(); ++other) {
    if (other == rank) continue;
    const Program& theirs = programs[other];
    const TaskId last = other < rank ? last_before_optimizer(theirs) : last_compute(theirs, last_task(theirs));
    into_.graph.programs[rank].depend(reference(other, last));
  }
}

// Once the inner optimizer has stepped, and before sharded weights are gathered again.
void OptimizerStep::synchronise_groups(std::size_t rank, const Action& closing) {
  const LocalSteps& steps = input_.strategy.local_steps;
  if (input_.strategy.mesh.local_groups > 1) {
    into_.outer_elements.emplace_back();
    for (std::int64_t fragment = 0; fragment < steps.fragments; ++fragment)
      into_.outer_elements.back().push_back(rounds_.sent(rank, fragment));
  }
  if (!rounds_.closes() || rounds_.sent(rank, steps.fragment) == 0) return;
  Program& program = into_.graph.programs[rank];
  offload_.bring_outer(rank, closing, {rounds_.brought(rank), rounds_.updated(rank)});
  program.append(task_of(closing, TaskKind::gradient_reduce, Stream::compute,
                         add_work(into_, rank, rounds_.synchronisation(rank))));
  program.effect({MemoryCategory::communication, rounds_.deltas(rank), Bytes(0), Bytes(0)});
  offload_.take_outer(rank, closing, rounds_.updated(rank));
}

// First and last stage hold copies of a tied table and add up their gradients.
void OptimizerStep::add_tied_gradients(std::size_t rank, const Action& closing) {
  if (share_.tied_table() == 0) return;
  const std::size_t first = share_.first_rank();
  const std::size_t last = share_.last_rank();
  if (rank != first && rank != last) return;
  if (tied_work_ < 0) {
    const bool same_node = pipeline_ranks_share_node(input_.strategy.mesh, static_cast<std::int64_t>(first),
                                                     static_cast<std::int64_t>(last), input_.placement.gpus_per_node);
    const bool bridges = stages_bridge(input_.strategy.mesh, input_.placement, first, last);
    const GroupLayout pair{2, same_node ? 2 : 1, Communicator::tied_ends, bridges};
    const Bytes bytes = element_size(input_.workload.precision.gradient_reduce) * share_.tied_table();
    tied_work_ = add_work(into_, first, CollectiveChain{{{CollectiveKind::all_reduce, pair, bytes, 1}}, {}}, last);
  }
  into_.graph.programs[rank].append(task_of(closing, TaskKind::gradient_reduce, Stream::compute, tied_work_));
}

}  // namespace echelon
