#include "sim/graph/task_graph.h"

#include <fmt/format.h>

#include <array>
#include <boost/graph/depth_first_search.hpp>

#include "sim/base/error.h"

namespace echelon {

TaskId Program::append(Task task) {
  task.dependences = static_cast<std::int32_t>(dependences.size());
  task.effects = static_cast<std::int32_t>(effects.size());
  tasks.push_back(task);
  return static_cast<TaskId>(tasks.size() - 1);
}

const Task& TaskGraph::task(TaskReference reference) const {
  return programs[static_cast<std::size_t>(reference.program)].tasks[static_cast<std::size_t>(reference.task)];
}

std::string describe(const TaskGraph& graph, TaskReference reference) {
  const Task& task = graph.task(reference);
  std::string text = fmt::format("{} of chunk {}", name_of(task.kind), task.chunk);
  if (task.layer >= 0) text += fmt::format(" layer {}", task.layer);
  return text + fmt::format(", micro-batch {} on pipeline rank {}", task.micro_batch, reference.program);
}

namespace {

std::vector<std::size_t> first_vertices(const TaskGraph& graph) {
  std::vector<std::size_t> first(graph.programs.size() + 1, 0);
  for (std::size_t p = 0; p < graph.programs.size(); ++p) first[p + 1] = first[p] + graph.programs[p].tasks.size();
  return first;
}

void add_program(DependenceGraph& result, const Program& program, std::size_t p,
                 const std::vector<std::size_t>& first) {
  std::array<TaskId, stream_count> previous;
  previous.fill(-1);
  for (std::size_t i = 0; i < program.tasks.size(); ++i) {
    const std::size_t vertex = first[p] + i;
    result[vertex] = {static_cast<std::int32_t>(p), static_cast<TaskId>(i)};
    TaskId& before = previous[static_cast<std::size_t>(program.tasks[i].stream)];
    if (before >= 0) add_edge(first[p] + static_cast<std::size_t>(before), vertex, result);
    before = static_cast<TaskId>(i);
    const std::size_t end = i + 1 < program.tasks.size() ? static_cast<std::size_t>(program.tasks[i + 1].dependences)
                                                         : program.dependences.size();
    for (std::size_t d = static_cast<std::size_t>(program.tasks[i].dependences); d < end; ++d) {
      const TaskReference on = program.dependences[d];
      add_edge(first[static_cast<std::size_t>(on.program)] + static_cast<std::size_t>(on.task), vertex, result);
    }
  }
}

struct FoundCycle {
  std::size_t from;
  std::size_t to;
};

// Remembers the tree and throws at the first back edge: boost's searches have no other way to stop.
class CycleVisitor : public boost::default_dfs_visitor {
 public:
  explicit CycleVisitor(std::vector<std::size_t>& parents) : parents_(&parents) {}
  template <class Edge>
  void tree_edge(Edge edge, const DependenceGraph& graph) {
    (*parents_)[target(edge, graph)] = source(edge, graph);
  }
  template <class Edge>
  void back_edge(Edge edge, const DependenceGraph& graph) {
    throw FoundCycle{source(edge, graph), target(edge, graph)};
  }

 private:
  std::vector<std::size_t>* parents_;
};

}  // namespace

DependenceGraph dependence_graph(const TaskGraph& graph) {
  const auto first = first_vertices(graph);
  DependenceGraph result(first.back());
  for (std::size_t p = 0; p < graph.programs.size(); ++p) add_program(result, graph.programs[p], p, first);
  return result;
}

std::optional<std::vector<TaskReference>> find_cycle(const TaskGraph& graph) {
  const DependenceGraph edges = dependence_graph(graph);
  std::vector<std::size_t> parents(num_vertices(edges));
  try {
    boost::depth_first_search(edges, boost::visitor(CycleVisitor(parents)));
  } catch (const FoundCycle& found) {
    std::vector<TaskReference> cycle{edges[found.to]};
    std::vector<TaskReference> back;
    for (std::size_t v = found.from; v != found.to; v = parents[v]) back.push_back(edges[v]);
    cycle.insert(cycle.end(), back.rbegin(), back.rend());
    cycle.push_back(edges[found.to]);
    return cycle;
  }
  return std::nullopt;
}

}  // namespace echelon
