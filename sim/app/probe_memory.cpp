#include "sim/app/probe_memory.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/app/memory_result.h"

namespace echelon {

namespace {

// Forward passes that the rank has begun when its first backward pass runs, at least; 0: nothing is known.
std::int64_t begun_forwards(const Strategy& strategy, const ProbeShape& shape, std::int64_t rank) {
  const std::int64_t behind = strategy.mesh.pipeline - 1 - rank;
  const std::int64_t slots = shape.micro_batches * strategy.virtual_stages;
  switch (strategy.schedule) {
    case ScheduleKind::gpipe:
    case ScheduleKind::looped_bfs:
      return slots;
    case ScheduleKind::one_f_one_b:
      return std::min(slots, behind + 1);
    case ScheduleKind::interleaved: {
      if (strategy.schedule_group > 0 || shape.micro_batches % strategy.mesh.pipeline != 0) return 0;
      const bool chunks = strategy.virtual_stages > 1;
      return std::min(slots, (strategy.virtual_stages - 1) * strategy.mesh.pipeline + (chunks ? 2 : 1) * behind + 1);
    }
    default:
      return 0;
  }
}

// How many of the first `begun` forward passes are of this chunk.
std::int64_t begun_of_chunk(const Strategy& strategy, const ProbeShape& shape, std::int64_t begun, std::int64_t chunk) {
  const std::int64_t group =
      strategy.schedule == ScheduleKind::looped_bfs ? shape.micro_batches : strategy.mesh.pipeline;
  if (strategy.virtual_stages == 1) return begun;
  const std::int64_t round = group * strategy.virtual_stages;
  return begun / round * group + std::clamp<std::int64_t>(begun % round - chunk * group, 0, group);
}

// Leaves of every program what the first micro-batch does.
void keep_first_micro_batch(Replayed& replayed) {
  for (std::size_t rank = 0; rank < replayed.lowering.graph.programs.size(); ++rank) {
    Program& program = replayed.lowering.graph.programs[rank];
    const auto others =
        std::find_if(program.tasks.begin(), program.tasks.end(), [](const Task& task) { return task.micro_batch > 0; });
    if (others == program.tasks.end()) continue;
    program.effects.resize(static_cast<std::size_t>(others->effects));
    program.dependences.resize(static_cast<std::size_t>(others->dependences));
    program.tasks.erase(others, program.tasks.end());
    replayed.timeline.tasks[rank].resize(program.tasks.size());
  }
}

// Activations that the rank's forward passes of a micro-batch keep, by chunk.
std::vector<Bytes> kept_by_chunk(const Program& program, std::int64_t chunks) {
  std::vector<Bytes> kept(static_cast<std::size_t>(chunks));
  for (std::size_t i = 0; i < program.tasks.size(); ++i) {
    if (program.tasks[i].kind != TaskKind::forward) continue;
    const std::size_t end =
        i + 1 < program.tasks.size() ? static_cast<std::size_t>(program.tasks[i + 1].effects) : program.effects.size();
    for (auto e = static_cast<std::size_t>(program.tasks[i].effects); e < end; ++e)
      if (program.effects[e].category == MemoryCategory::activations)
        kept[static_cast<std::size_t>(program.tasks[i].chunk)] += program.effects[e].at_end;
  }
  return kept;
}

// Adds what further micro-batches hold while the first one's backward pass runs. Of several chunks only the last one's
// backward pass is known to find them all there.
void hold_begun(const Scenario& scenario, const ProbeShape& shape, Replayed& replayed) {
  const Strategy& strategy = scenario.strategy;
  Lowering& lowering = replayed.lowering;
  for (std::size_t rank = 0; rank < lowering.graph.programs.size(); ++rank) {
    Program& program = lowering.graph.programs[rank];
    const std::int64_t begun = begun_forwards(strategy, shape, static_cast<std::int64_t>(rank));
    const std::vector<Bytes> kept = kept_by_chunk(program, strategy.virtual_stages);
    Bytes more;
    for (std::int64_t chunk = 0; chunk < strategy.virtual_stages; ++chunk)
      more += kept[static_cast<std::size_t>(chunk)] *
              static_cast<double>(begun_of_chunk(strategy, shape, begun, chunk) - 1);
    lowering.resident[rank][static_cast<std::size_t>(MemoryCategory::activations)] += more;
    if (strategy.virtual_stages == 1) continue;
    for (std::size_t i = 0; i < program.tasks.size(); ++i) {
      const Task& task = program.tasks[i];
      if (task.kind == TaskKind::backward && task.chunk + 1 == strategy.virtual_stages) continue;
      const std::size_t end = i + 1 < program.tasks.size() ? static_cast<std::size_t>(program.tasks[i + 1].effects)
                                                           : program.effects.size();
      for (auto e = static_cast<std::size_t>(task.effects); e < end; ++e) program.effects[e].transient = Bytes(0);
    }
  }
}

void forget(MemoryCategory category, Replayed& replayed) {
  for (Program& program : replayed.lowering.graph.programs)
    for (MemoryEffect& effect : program.effects)
      if (effect.category == category) effect = {category, {}, {}, {}};
}

}  // namespace

MemoryResult least_memory(const Scenario& scenario, const ProbeShape& shape, Replayed& replayed) {
  if (scenario.strategy.offload.any()) return {};
  keep_first_micro_batch(replayed);
  // Schedules may reduce the gradients of one chunk before those of the next are there, and gather later.
  if (scenario.strategy.virtual_stages > 1) forget(MemoryCategory::gradients, replayed);
  if (shape.may_share_gathers) forget(MemoryCategory::parameters, replayed);
  MemoryResult one = memory_result(scenario, replayed);
  if (!one.fits || begun_forwards(scenario.strategy, shape, 0) <= scenario.strategy.virtual_stages) return one;
  hold_begun(scenario, shape, replayed);
  MemoryResult begun = memory_result(scenario, replayed);
  return begun.fits && begun.peak <= one.peak ? one : begun;
}

}  // namespace echelon
