#include "sim/app/tails.h"

#include <algorithm>
#include <array>

namespace echelon {

Tails::Tails(const Replayed& replayed, TailCount counted) : replayed_(replayed), counted_(counted) {
  for (const Program& program : replayed.lowering.graph.programs) tails_.emplace_back(program.tasks.size());
  for (const TaskReference& task : latest_first()) offer_to_predecessors(task);
}

// A task comes after those that wait for it; ties among tasks of no length can only make a chain shorter.
std::vector<TaskReference> Tails::latest_first() {
  const TaskGraph& graph = replayed_.lowering.graph;
  std::vector<TaskReference> all;
  for (std::size_t p = 0; p < graph.programs.size(); ++p) {
    std::array<TaskId, stream_count> last{};
    last.fill(-1);
    previous_.emplace_back();
    for (std::size_t i = 0; i < graph.programs[p].tasks.size(); ++i) {
      TaskId& before = last[static_cast<std::size_t>(graph.programs[p].tasks[i].stream)];
      previous_.back().push_back(before);
      before = static_cast<TaskId>(i);
      all.push_back({static_cast<std::int32_t>(p), before});
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [&](const TaskReference& a, const TaskReference& b) { return time_of(a).start > time_of(b).start; });
  return all;
}

const TaskTime& Tails::time_of(const TaskReference& task) const {
  return replayed_.timeline.tasks[static_cast<std::size_t>(task.program)][static_cast<std::size_t>(task.task)];
}

void Tails::offer(const TaskReference& to, Time chain) {
  Time& tail = tails_[static_cast<std::size_t>(to.program)][static_cast<std::size_t>(to.task)];
  tail = std::max(tail, chain);
}

void Tails::offer_to_predecessors(const TaskReference& task) {
  const auto p = static_cast<std::size_t>(task.program);
  const auto i = static_cast<std::size_t>(task.task);
  const Program& program = replayed_.lowering.graph.programs[p];
  Time chain = tails_[p][i];
  const Task& own = program.tasks[i];
  const bool sends_data =
      own.stream == Stream::data || (own.stream == Stream::stages && own.kind == TaskKind::parameter_gather);
  if (counted_ == TailCount::all || !sends_data)
    chain += replayed_.prices.times[static_cast<std::size_t>(program.tasks[i].work)].device;
  if (previous_[p][i] >= 0) offer({task.program, previous_[p][i]}, chain);
  const std::size_t end = i + 1 < program.tasks.size() ? static_cast<std::size_t>(program.tasks[i + 1].dependences)
                                                       : program.dependences.size();
  for (auto d = static_cast<std::size_t>(program.tasks[i].dependences); d < end; ++d)
    offer(program.dependences[d], chain);
}

}  // namespace echelon
