#include "sim/engine/full_flow_state.h"

#include <algorithm>

#include "sim/base/error.h"

namespace echelon {

namespace {

Stage stage_of(const Program& program, std::size_t width) {
  Stage stage;
  stage.position.resize(program.tasks.size());
  stage.number.resize(program.tasks.size());
  stage.receiver.resize(program.tasks.size());
  for (std::size_t i = 0; i < program.tasks.size(); ++i) {
    StageStream& stream = stage.streams[static_cast<std::size_t>(program.tasks[i].stream)];
    stage.position[i] = static_cast<std::int32_t>(stream.order.size());
    stream.order.push_back(static_cast<TaskId>(i));
    const TaskScope scope = scope_of(program.tasks[i].kind);
    stream.groups[static_cast<std::size_t>(scope)].resize(width);
    stream.groups[static_cast<std::size_t>(running_scope(scope))].resize(width);
  }
  for (StageStream& stream : stage.streams) {
    stream.next.resize(width);
    stream.taken.resize(width);
    stream.ends.resize(width);
  }
  stage.hosts.resize(width);
  stage.busy.resize(width);
  stage.computing.resize(width);
  stage.beside_data.resize(width);
  return stage;
}

// Fills Stage::dependents of all.
void link_dependents(const TaskGraph& graph, std::vector<Stage>& stages) {
  for (Stage& stage : stages) stage.dependents_first.assign(stage.position.size() + 1, 0);
  for (const Program& program : graph.programs)
    for (const TaskReference& on : program.dependences)
      ++stages[static_cast<std::size_t>(on.program)].dependents_first[static_cast<std::size_t>(on.task) + 1];
  std::vector<std::vector<std::int32_t>> cursors;
  for (Stage& stage : stages) {
    for (std::size_t i = 1; i < stage.dependents_first.size(); ++i)
      stage.dependents_first[i] += stage.dependents_first[i - 1];
    cursors.push_back(stage.dependents_first);
    stage.dependents.resize(static_cast<std::size_t>(stage.dependents_first.back()));
  }
  for (std::size_t p = 0; p < stages.size(); ++p)
    for (std::size_t i = 0; i < graph.programs[p].tasks.size(); ++i) {
      const TaskReference waiting{static_cast<std::int32_t>(p), static_cast<TaskId>(i)};
      const auto [first, last] = dependences_of(graph, waiting);
      for (std::size_t d = first; d < last; ++d) {
        const TaskReference on = graph.programs[p].dependences[d];
        const auto q = static_cast<std::size_t>(on.program);
        stages[q].dependents[static_cast<std::size_t>(cursors[q][static_cast<std::size_t>(on.task)]++)] = waiting;
      }
    }
}

TaskReference task_of_step(const std::vector<Stage>& stages, std::int32_t step) {
  for (std::size_t p = 0; p < stages.size(); ++p) {
    const auto& numbers = stages[p].number;
    const auto found = std::find(numbers.begin(), numbers.end(), step);
    if (found != numbers.end()) return {static_cast<std::int32_t>(p), static_cast<TaskId>(found - numbers.begin())};
  }
  return {};
}

}  // namespace

FullTimeline timeline_of(const std::vector<Stage>& stages, const Mark& last) {
  FullTimeline result;
  result.end = last.chain.time;
  for (const Stage& stage : stages)
    for (std::size_t rank = 0; rank < stage.hosts.size(); ++rank) {
      Time end;
      for (const StageStream& stream : stage.streams) {
        SIM_CHECK(static_cast<std::size_t>(stream.next[rank]) == stream.order.size(),
                  "a rank stopped short of {} tasks", stream.order.size());
        end = std::max(end, stream.ends[rank]);
      }
      result.rank_ends.push_back(end);
      result.rank_idle.push_back(result.end - stage.busy[rank]);
    }
  const ChainMark& chain = last.chain;
  if (chain.rank >= 0)
    result.pace = PaceSetter{chain.rank, chain.lost, task_of_step(stages, chain.longest_step), chain.longest};
  if (last.link >= 0) result.link = LinkPace{last.link, last.held};
  return result;
}

std::pair<std::size_t, std::size_t> dependences_of(const TaskGraph& graph, TaskReference task) {
  const Program& program = graph.programs[static_cast<std::size_t>(task.program)];
  const auto i = static_cast<std::size_t>(task.task);
  const std::size_t end = i + 1 < program.tasks.size() ? static_cast<std::size_t>(program.tasks[i + 1].dependences)
                                                       : program.dependences.size();
  return {static_cast<std::size_t>(program.tasks[i].dependences), end};
}

std::vector<Stage> stages_of(const TaskGraph& graph, const ReplayPlan& plan, const StageLayouts& layouts) {
  std::vector<Stage> stages;
  for (std::size_t p = 0; p < graph.programs.size(); ++p)
    stages.push_back(stage_of(graph.programs[p], layouts.width(p)));
  link_dependents(graph, stages);
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    const TaskReference task = plan.steps[s].task;
    Stage& stage = stages[static_cast<std::size_t>(task.program)];
    stage.number[static_cast<std::size_t>(task.task)] = static_cast<std::int64_t>(s);
    stage.receiver[static_cast<std::size_t>(task.task)] = plan.steps[s].receiver;
  }
  return stages;
}

}  // namespace echelon
