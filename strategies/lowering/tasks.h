// Small helpers that every part of the lowering uses to write tasks.
#pragma once

#include <cstddef>

#include "strategies/lower.h"
#include "strategies/pipeline/schedule.h"

namespace echelon {

// A work of the ranks of program `rank`; with `other`, of those of both.
inline WorkId add_work(Lowering& into, std::size_t rank, Work work, std::size_t other) {
  into.works.push_back(std::move(work));
  into.sites.push_back({into.kind_of[rank], into.kind_of[other]});
  return static_cast<WorkId>(into.works.size() - 1);
}

inline WorkId add_work(Lowering& into, std::size_t rank, Work work) {
  return add_work(into, rank, std::move(work), rank);
}

inline Task task_of(const Action& action, TaskKind kind, Stream stream, WorkId work) {
  Task task;
  task.work = work;
  task.kind = kind;
  task.stream = stream;
  task.chunk = action.chunk;
  task.micro_batch = action.micro_batch;
  return task;
}

inline TaskReference reference(std::size_t rank, TaskId task) {
  return {static_cast<std::int32_t>(rank), task};
}

// The last task of the compute stream at or before `from`; there is one.
inline TaskId last_compute(const Program& program, TaskId from) {
  while (program.tasks[static_cast<std::size_t>(from)].stream != Stream::compute) --from;
  return from;
}

// What a backward pass needs while it runs; `stranded` of it is the allocator's, who finds no use for it.
struct PassMemory {
  Bytes extra;
  Bytes stranded;
};

// Effects of the task that was appended last on the activations held.
inline void hold_activations(Program& program, const PassMemory& pass, Bytes at_start, Bytes at_end) {
  program.effect({MemoryCategory::activations, pass.extra - pass.stranded, at_start, at_end});
  if (pass.stranded > Bytes(0)) program.effect({MemoryCategory::fragmentation, pass.stranded, Bytes(0), Bytes(0)});
}

inline TaskId last_task(const Program& program) {
  return static_cast<TaskId>(program.tasks.size()) - 1;
}

}  // namespace echelon
