#include "strategies/lowering/vocabulary_passes.h"

#include <algorithm>

#include "strategies/lowering/tasks.h"

namespace echelon {

namespace {

constexpr std::int32_t left_open = -2;  // program of a dependence on missing_[task]

TaskKind kind_of(const Action& action) {
  const bool forward = action.pass == Pass::forward;
  if (action.part == ActionPart::output) return forward ? TaskKind::output_forward : TaskKind::output_backward;
  return forward ? TaskKind::embedding_forward : TaskKind::embedding_backward;
}

// Every rank takes part; else one rank's pass makes it.
bool of_all_ranks(VocabularyEvent event) {
  return event != VocabularyEvent::hidden && event != VocabularyEvent::returned;
}

}  // namespace

VocabularyPasses::VocabularyPasses(const LoweringInput& input, const StageShare& share, const DataSharding& sharding,
                                   DataTraffic& traffic, Lowering& into)
    : strategy_(input.strategy),
      share_(share),
      sharding_(sharding),
      traffic_(traffic),
      into_(into),
      method_(share.schedule().vocabulary) {
  if (!any()) return;
  exchange_works_.fill(-1);
  const auto slots = vocabulary_events * static_cast<std::size_t>(into.micro_batches);
  const auto ranks = static_cast<std::size_t>(share.schedule().shape.ranks);
  exchanges_.resize(slots);
  makers_.assign(slots, std::vector<TaskId>(ranks, -1));
  holding_.resize(ranks);
  // Hidden states of a micro-batch, or their gradients, and three fp32 numbers of each token: the logits' maximum,
  // their sum of exponentials and the target's logit (arXiv:2411.05288, section 4).
  GroupLayout group = into.kinds.front().groups[static_cast<std::size_t>(Axis::pipeline)];
  group.members = Communicator::stages;
  const double shards = static_cast<double>(strategy_.sequence_parallel ? strategy_.mesh.tensor : 1);
  const double tokens = into.tokens / shards;
  const Bytes states = into.execution.activation_element * (tokens * static_cast<double>(input.model.hidden));
  const CollectiveWork broadcast{CollectiveKind::broadcast, group, states, 1};
  const CollectiveWork reduce{CollectiveKind::all_reduce, group, states, 1};
  const CollectiveWork sums{CollectiveKind::all_reduce, group, Bytes(4) * tokens, 3};
  const auto at = [this](VocabularyEvent event) -> auto& {
    return calls_[static_cast<std::size_t>(event)];
  };
  at(VocabularyEvent::hidden) = {broadcast};
  at(VocabularyEvent::returned) = {broadcast};
  at(VocabularyEvent::embedded) = {reduce};
  at(VocabularyEvent::sums) = {sums};
  if (method_ == VocabularyParallel::vocab_2)
    at(VocabularyEvent::sums).push_back(reduce);
  else
    at(VocabularyEvent::gradient) = {reduce};
}

std::size_t VocabularyPasses::slot(VocabularyEvent event, std::int32_t micro_batch) const {
  return static_cast<std::size_t>(event) * static_cast<std::size_t>(into_.micro_batches) +
         static_cast<std::size_t>(micro_batch);
}

std::size_t VocabularyPasses::leader(VocabularyEvent event) const {
  const bool input = event == VocabularyEvent::embedded || event == VocabularyEvent::returned;
  return share_.rank_of(input ? 0 : share_.stage_count() - 1);
}

void VocabularyPasses::depend(std::size_t rank, const Missing& missing) {
  into_.graph.programs[rank].depend({left_open, static_cast<TaskId>(missing_.size())});
  missing_.push_back(missing);
}

// What one rank's pass makes and that rank needs itself is there without a broadcast.
void VocabularyPasses::wait_for(std::size_t rank, const Action& action, StageEnds ends) {
  if (auto& held = holding_[rank]) {
    depend(rank, *held);
    held.reset();
  }
  const auto event = awaited_event(method_, action, ends);
  if (!event || (!of_all_ranks(*event) && leader(*event) == rank)) return;
  depend(rank, {*event, action.micro_batch, -1});
}

void VocabularyPasses::make(std::size_t rank, const Action& action, VocabularyEvent event, TaskId pass) {
  if (calls(event).empty()) return;
  if (method_ == VocabularyParallel::interlaced && action.part != ActionPart::layers)
    holding_[rank] = Missing{event, action.micro_batch, -1};
  if (of_all_ranks(event)) makers_[slot(event, action.micro_batch)][rank] = pass;
  if (rank != leader(event)) return;
  Program& program = into_.graph.programs[rank];
  const TaskId id =
      program.append(task_of(action, TaskKind::vocabulary_exchange, Stream::stages, exchange_work(event)));
  exchanges_[slot(event, action.micro_batch)] = reference(rank, id);
  program.depend(reference(rank, pass));
  if (!of_all_ranks(event)) return;
  for (std::size_t other = 0; other < holding_.size(); ++other)
    if (other != rank) depend(rank, {event, action.micro_batch, static_cast<std::int32_t>(other)});
}

WorkId VocabularyPasses::exchange_work(VocabularyEvent event) {
  WorkId& work = exchange_works_[static_cast<std::size_t>(event)];
  if (work < 0) work = add_work(into_, leader(event), CollectiveChain{calls(event), {}, Axis::pipeline});
  return work;
}

// With one barrier the input gradient comes with the forward pass, and the backward pass is the weight gradient alone.
WorkId VocabularyPasses::pass_work(std::size_t rank, const Action& action) {
  const auto [known, is_new] = pass_works_.try_emplace({action.part, action.pass}, -1);
  if (!is_new) return known->second;
  const bool output = action.part == ActionPart::output;
  const bool early = output && method_ == VocabularyParallel::vocab_2;
  const StageUnit unit = output ? share_.output_share() : share_.embedding_share();
  ComputeWork work;
  const auto run = [&](Pass pass) { work.runs.push_back({unit.block, pass, Rerun::nothing, 1, {}}); };
  if (action.pass == Pass::forward) run(Pass::forward);
  if (early) run(action.pass == Pass::forward ? Pass::input_gradient : Pass::weight_gradient);
  if (!early && action.pass == Pass::backward) run(Pass::backward);
  return known->second = add_work(into_, rank, std::move(work));
}

void VocabularyPasses::add_memory_effect(Program& program, const Action& action) const {
  const StageUnit unit = action.part == ActionPart::output ? share_.output_share() : share_.embedding_share();
  const BlockMemory& memory = share_.memory(unit);
  const bool forward = action.pass == Pass::forward;
  const bool early = action.part == ActionPart::output && method_ == VocabularyParallel::vocab_2;
  const PassMemory backward{memory.backward_extra, memory.stranded};
  if (!forward)
    hold_activations(program, backward, Bytes(0), -memory.kept);
  else if (early && memory.backward_extra > memory.forward_extra)
    hold_activations(program, backward, memory.kept, Bytes(0));
  else
    hold_activations(program, {memory.forward_extra, Bytes(0)}, memory.kept, Bytes(0));
}

void VocabularyPasses::append(std::size_t rank, const Action& action) {
  Program& program = into_.graph.programs[rank];
  const TaskId id = program.append(task_of(action, kind_of(action), Stream::compute, pass_work(rank, action)));
  wait_for(rank, action, {});
  add_memory_effect(program, action);
  if (const auto event = event_of(action, {})) make(rank, action, *event, id);
  const bool last = action.micro_batch + 1 == into_.micro_batches;
  if (action.pass != Pass::backward || !sharding_.reduces_by_layer({action.micro_batch == 0, last})) return;
  traffic_.reduce_unit(rank, action,
                       action.part == ActionPart::output ? share_.output_share() : share_.embedding_share(), id, true);
}

void VocabularyPasses::await(std::size_t rank, std::size_t stage, const Action& action) {
  if (any()) wait_for(rank, action, ends_of(stage));
}

void VocabularyPasses::follow(std::size_t rank, std::size_t stage, const Action& action) {
  if (!any()) return;
  if (const auto event = event_of(action, ends_of(stage)))
    make(rank, action, *event, last_compute(into_.graph.programs[rank], last_task(into_.graph.programs[rank])));
}

void VocabularyPasses::resolve() {
  if (missing_.empty()) return;
  for (Program& program : into_.graph.programs)
    for (TaskReference& on : program.dependences) {
      if (on.program != left_open) continue;
      const Missing& missing = missing_[static_cast<std::size_t>(on.task)];
      const std::size_t found = slot(missing.event, missing.micro_batch);
      on = missing.maker < 0 ? exchanges_[found]
                             : TaskReference{missing.maker, makers_[found][static_cast<std::size_t>(missing.maker)]};
    }
}

}  // namespace echelon
