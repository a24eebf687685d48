#include "strategies/lowering/alike_passes.h"

#include "strategies/lowering/tasks.h"

namespace echelon {

namespace {

constexpr std::size_t passes = 4;

}  // namespace

AlikePasses::AlikePasses(const LoweringInput& input, const StageShare& share, StageMessages& messages, Lowering& into)
    : share_(share),
      messages_(messages),
      into_(into),
      applies_(!input.strategy.offload.of_steps() && input.strategy.vocabulary_parallel == VocabularyParallel::none &&
               share.schedule().evictions.empty() && share.schedule().shape.slices == 1),
      written_(static_cast<std::size_t>(share.schedule().shape.chunks) * passes) {}

AlikePasses::Written& AlikePasses::like(const Action& action) {
  return written_[static_cast<std::size_t>(action.chunk) * passes + static_cast<std::size_t>(action.pass)];
}

void AlikePasses::begin_rank() {
  written_.assign(written_.size(), {});
}

bool AlikePasses::copy(std::size_t rank, const Action& action, Gathered& gathered) {
  const Written& from = like(action);
  if (from.tasks.first == from.tasks.last || from.before != gathered) return false;
  if (from.after != from.before) gathered = from.after;
  Program& program = into_.graph.programs[rank];
  const auto later = static_cast<TaskId>(program.tasks.size() - from.tasks.first);
  const auto more_dependences = static_cast<std::int32_t>(program.dependences.size() - from.dependences.first);
  const auto more_effects = static_cast<std::int32_t>(program.effects.size() - from.effects.first);
  for (std::size_t i = from.tasks.first; i < from.tasks.last; ++i) {
    program.tasks.push_back(program.tasks[i]);
    Task& task = program.tasks.back();
    task.micro_batch = action.micro_batch;
    task.dependences += more_dependences;
    task.effects += more_effects;
  }
  for (std::size_t d = from.dependences.first; d < from.dependences.last; ++d) {
    TaskReference on = program.dependences[d];
    if (on.program == static_cast<std::int32_t>(rank))
      on.task += later;
    else
      on = messages_.await_like(on, action.micro_batch - from.micro_batch);
    program.dependences.push_back(on);
  }
  for (std::size_t e = from.effects.first; e < from.effects.last; ++e) program.effects.push_back(program.effects[e]);
  messages_.send_like(from.slot, action, from.micro_batch, later);
  return true;
}

void AlikePasses::keep(std::size_t rank, const Action& action, const Before& before, const Gathered& after) {
  const Program& program = into_.graph.programs[rank];
  if (!applies_ || before.tasks == program.tasks.size()) return;
  const Task& opening = program.tasks[before.tasks];
  like(action) = {{before.tasks, program.tasks.size()},
                  {static_cast<std::size_t>(opening.dependences), program.dependences.size()},
                  {static_cast<std::size_t>(opening.effects), program.effects.size()},
                  messages_.slot_of(share_.stage_of(rank, action.chunk), action),
                  action.micro_batch,
                  before.gathered,
                  after};
}

}  // namespace echelon
