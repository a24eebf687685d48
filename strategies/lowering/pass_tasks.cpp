#include "strategies/lowering/pass_tasks.h"

#include <algorithm>

#include "strategies/intra/intra.h"
#include "strategies/lowering/tasks.h"
#include "strategies/pipeline/slices.h"

namespace echelon {

namespace {

TaskKind kind_of(Pass pass) {
  switch (pass) {
    case Pass::forward:
      return TaskKind::forward;
    case Pass::backward:
      return TaskKind::backward;
    case Pass::input_gradient:
      return TaskKind::input_gradient;
    case Pass::weight_gradient:
      return TaskKind::weight_gradient;
  }
  return TaskKind::forward;
}

Rerun rerun_of(const StageUnit& unit, Pass pass, Recompute recompute) {
  if (!unit.recomputed || pass == Pass::forward || pass == Pass::weight_gradient) return Rerun::nothing;
  switch (recompute) {
    case Recompute::none:
      return Rerun::nothing;
    case Recompute::selective:
      return Rerun::attention_core;
    case Recompute::selective_ops:
      return Rerun::selective_operators;
    case Recompute::full:
      return Rerun::everything;
    case Recompute::operators:
      return Rerun::listed_operators;
  }
  return Rerun::nothing;
}

bool run_alike(const StageUnit& a, const StageUnit& b) {
  return a.block == b.block && a.recomputed == b.recomputed;
}

// Whether tokens are sent to their experts again.
bool permutes(const RerunList& list) {
  return std::find(list.kinds.begin(), list.kinds.end(), OperatorKind::permute) != list.kinds.end() ||
         std::find(list.modules.begin(), list.modules.end(), RecomputeModule::moe) != list.modules.end();
}

}  // namespace

// Blocks are those of a kind of rank: stages with the same blocks lie on ranks of one kind.
PassTasks::PassTasks(const LoweringInput& input, const StageShare& share, Lowering& into)
    : strategy_(input.strategy), share_(share), into_(into) {
  std::vector<std::size_t> distinct;
  for (std::size_t stage = 0; stage < share.stage_count(); ++stage) {
    const auto& units = share.units(stage);
    const auto like = std::find_if(distinct.begin(), distinct.end(), [&](std::size_t other) {
      const auto& others = share.units(other);
      return std::equal(units.begin(), units.end(), others.begin(), others.end(), run_alike);
    });
    like_.push_back(like == distinct.end() ? stage : *like);
    if (like == distinct.end()) distinct.push_back(stage);
  }
}

PassTasks::WorkKey PassTasks::key_of(const UnitRange& units, const Action& action) const {
  const bool fetches = fetches_batch(action, units);
  if (units.last - units.first > 1)
    return {like_[units.stage], units.first, units.last, action.pass, action.slice, fetches};
  const StageUnit& unit = share_.units(units.stage)[units.first];
  constexpr std::size_t any_stage = SIZE_MAX;
  return {any_stage, static_cast<std::size_t>(unit.block), unit.recomputed ? 1U : 0U, action.pass, action.slice,
          fetches};
}

bool PassTasks::opens(const Action& action, const UnitRange& units) const {
  return action.pass == Pass::forward ? units.first == 0 : units.last == share_.units(units.stage).size();
}

// Slices of a sequence share what the first of them fetched.
bool PassTasks::fetches_batch(const Action& action, const UnitRange& units) const {
  if (action.pass != Pass::forward || action.slice > 0 || !opens(action, units)) return false;
  if (strategy_.batch_fetch == BatchFetch::ahead) return false;
  return strategy_.batch_fetch == BatchFetch::every_stage || units.stage == 0 || share_.is_last(units.stage);
}

TaskId PassTasks::append(std::size_t rank, const Action& action, const UnitRange& units) {
  Program& program = into_.graph.programs[rank];
  Task task = task_of(action, kind_of(action.pass), Stream::compute, work(rank, units, action));
  const bool whole_stage = units.last - units.first == share_.units(units.stage).size();
  task.layer = whole_stage ? -1 : static_cast<std::int32_t>(units.first);
  task.syncs_host = (opens(action, units) && strategy_.synchronous_pipeline && strategy_.mesh.pipeline > 1) ||
                    fetches_batch(action, units) || counts_tokens(action, units);
  const TaskId id = program.append(task);
  add_memory_effect(program, units, action);
  return id;
}

bool PassTasks::counts_tokens(const Action& action, const UnitRange& units) const {
  if (action.pass == Pass::weight_gradient || !waits_for_token_counts(strategy_)) return false;
  const auto counts = [&](const StageUnit& unit) {
    if (share_.facts(unit).routed == 0) return false;
    const Rerun rerun = rerun_of(unit, action.pass, strategy_.recompute);
    return action.pass == Pass::forward || rerun == Rerun::everything ||
           (rerun == Rerun::listed_operators && permutes(strategy_.recompute_operators));
  };
  const auto first = share_.units(units.stage).begin();
  return std::any_of(first + static_cast<std::ptrdiff_t>(units.first), first + static_cast<std::ptrdiff_t>(units.last),
                     counts);
}

// The same id for the same question. Neighbouring units that run alike are one run.
WorkId PassTasks::work(std::size_t rank, const UnitRange& units, const Action& action) {
  const Pass pass = action.pass;
  const WorkKey key = key_of(units, action);
  if (const auto found = works_.find(key); found != works_.end()) return found->second;
  ComputeWork work;
  work.fetches_batch = key.fetches_batch;
  for (std::size_t i = units.first; i < units.last; ++i) {
    const StageUnit& unit = share_.units(units.stage)[i];
    const LayerRun run{unit.block, pass, rerun_of(unit, pass, strategy_.recompute), 1,
                       slice_part(strategy_, into_.sequence, action.slice)};
    if (!work.runs.empty() && work.runs.back().block == run.block && work.runs.back().rerun == run.rerun)
      work.runs.back().count += 1;
    else
      work.runs.push_back(run);
  }
  return works_[key] = add_work(into_, rank, std::move(work));
}

// Activations are kept from the forward pass to the end of the backward pass; the input gradient leaves behind what the
// weight gradient needs.
void PassTasks::add_memory_effect(Program& program, const UnitRange& units, const Action& action) const {
  Bytes kept;
  Bytes for_weights;
  Bytes forward_extra;
  Bytes backward_extra;
  Bytes stranded;
  for (std::size_t i = units.first; i < units.last; ++i) {
    const BlockMemory& memory = share_.memory(share_.units(units.stage)[i]);
    kept += memory.kept;
    for_weights += memory.kept_for_weights;
    forward_extra = std::max(forward_extra, memory.forward_extra);
    if (memory.backward_extra > backward_extra) stranded = memory.stranded;
    backward_extra = std::max(backward_extra, memory.backward_extra);
  }
  if (strategy_.keeps_stage_outputs && !share_.is_last(units.stage) && units.last == share_.units(units.stage).size())
    kept += into_.execution.activation_element * (into_.tokens * share_.handed_on(units.stage));
  for (Bytes* part : {&kept, &for_weights, &forward_extra, &backward_extra, &stranded})
    *part *= slice_part(strategy_, into_.sequence, action.slice).share;
  switch (action.pass) {
    case Pass::forward:
      program.effect({MemoryCategory::activations, forward_extra, kept, Bytes(0)});
      return;
    case Pass::backward:
      hold_activations(program, {backward_extra, stranded}, Bytes(0), -kept);
      return;
    case Pass::input_gradient:
      hold_activations(program, {backward_extra, stranded}, Bytes(0), for_weights - kept);
      return;
    case Pass::weight_gradient:
      program.effect({MemoryCategory::activations, Bytes(0), Bytes(0), -for_weights});
      return;
  }
}

}  // namespace echelon
