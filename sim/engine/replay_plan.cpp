#include "sim/engine/replay_plan.h"

#include <algorithm>
#include <array>

#include "sim/base/error.h"

namespace echelon {

namespace {

// Tasks of all programs as one row of nodes, with the edges that order them.
class Planner {
 public:
  explicit Planner(const TaskGraph& graph) : graph_(graph) {
    for (std::size_t p = 0; p < graph.programs.size(); ++p) {
      first_.push_back(tasks_.size());
      for (std::size_t i = 0; i < graph.programs[p].tasks.size(); ++i)
        tasks_.push_back({static_cast<std::int32_t>(p), static_cast<TaskId>(i)});
    }
    data_tasks_.assign(tasks_.size(), 0);
    connect();
  }

  std::variant<ReplayPlan, Deadlock> plan(bool slows_compute) {
    std::vector<std::size_t> order = topological_order();
    if (order.size() < tasks_.size()) {
      auto cycle = find_cycle(graph_);
      SIM_CHECK(cycle.has_value(), "no order of the tasks was found, but none wait for each other in a circle");
      return Deadlock{std::move(*cycle)};
    }
    number_data_tasks();
    if (slows_compute) {
      order_beside(order);
      order = topological_order();
      SIM_CHECK(order.size() == tasks_.size(), "tasks of data streams wait for other programs' tasks");
    }
    return laid_out(order);
  }

 private:
  struct Edge {
    std::size_t from;
    std::size_t to;
  };

  std::size_t node(TaskReference task) const {
    return first_[static_cast<std::size_t>(task.program)] + static_cast<std::size_t>(task.task);
  }

  template <class Visit>
  void for_dependences(std::size_t at, const Visit& visit) const {
    const Program& program = graph_.programs[static_cast<std::size_t>(tasks_[at].program)];
    const auto i = static_cast<std::size_t>(tasks_[at].task);
    const std::size_t end = i + 1 < program.tasks.size() ? static_cast<std::size_t>(program.tasks[i + 1].dependences)
                                                         : program.dependences.size();
    for (auto d = static_cast<std::size_t>(program.tasks[i].dependences); d < end; ++d)
      visit(node(program.dependences[d]));
  }

  // The edges of stream order and dependences.
  void connect() {
    constexpr std::size_t none = SIZE_MAX;
    std::array<std::size_t, stream_count> previous{};
    for (std::size_t at = 0; at < tasks_.size(); ++at) {
      if (tasks_[at].task == 0) previous.fill(none);
      std::size_t& before = previous[static_cast<std::size_t>(graph_.task(tasks_[at]).stream)];
      before_.push_back(before == none ? at : before);
      if (before != none) edges_.push_back({before, at});
      before = at;
      for_dependences(at, [&](std::size_t on) { edges_.push_back({on, at}); });
    }
  }

  // Kahn's algorithm, first come first served: programs advance side by side. Short where there is a cycle.
  std::vector<std::size_t> topological_order() const {
    std::vector<std::int32_t> unmet(tasks_.size(), 0);
    std::vector<std::size_t> first(tasks_.size() + 1, 0);
    for (const Edge& edge : edges_) {
      ++unmet[edge.to];
      ++first[edge.from + 1];
    }
    for (std::size_t i = 1; i < first.size(); ++i) first[i] += first[i - 1];
    std::vector<std::size_t> targets(edges_.size());
    std::vector<std::size_t> cursor = first;
    for (const Edge& edge : edges_) targets[cursor[edge.from]++] = edge.to;
    std::vector<std::size_t> order;
    for (std::size_t at = 0; at < tasks_.size(); ++at)
      if (unmet[at] == 0) order.push_back(at);
    for (std::size_t next = 0; next < order.size(); ++next)
      for (std::size_t e = first[order[next]]; e < first[order[next] + 1]; ++e)
        if (--unmet[targets[e]] == 0) order.push_back(targets[e]);
    return order;
  }

  // Positions on the data streams.
  void number_data_tasks() {
    counts_.assign(graph_.programs.size(), 0);
    for (std::size_t at = 0; at < tasks_.size(); ++at)
      if (graph_.task(tasks_[at]).stream == Stream::data)
        data_tasks_[at] = counts_[static_cast<std::size_t>(tasks_[at].program)]++;
  }

  // Adds an edge to each compute task from the last data task that does not wait for it, and counts those.
  void order_beside(const std::vector<std::size_t>& order) {
    const std::vector<std::int32_t> waits_for = last_compute_awaited(order);
    std::size_t at = 0;
    for (const Program& program : graph_.programs) {
      std::vector<std::size_t> data;
      for (std::size_t i = 0; i < program.tasks.size(); ++i)
        if (program.tasks[i].stream == Stream::data) data.push_back(at + i);
      std::size_t beside = 0;
      for (const Task& task : program.tasks) {
        const std::size_t self = at++;
        if (task.stream != Stream::compute) continue;
        while (beside < data.size() && waits_for[data[beside]] < waits_for[self]) ++beside;
        data_tasks_[self] = static_cast<std::int32_t>(beside);
        if (beside > 0) edges_.push_back({data[beside - 1], self});
      }
    }
  }

  // By task: the position of the last compute task of its own rank that it is or waits for; -1 for none. Grows along
  // each stream.
  std::vector<std::int32_t> last_compute_awaited(const std::vector<std::size_t>& order) const {
    std::vector<std::int32_t> last(tasks_.size(), -1);
    for (std::size_t at = 0; at < tasks_.size(); ++at)
      if (graph_.task(tasks_[at]).stream == Stream::compute) last[at] = before_[at] == at ? 0 : last[before_[at]] + 1;
    for (const std::size_t at : order) {
      if (graph_.task(tasks_[at]).stream == Stream::compute) continue;
      last[at] = last[before_[at]];
      for_dependences(at, [&](std::size_t on) {
        if (tasks_[on].program == tasks_[at].program) last[at] = std::max(last[at], last[on]);
      });
    }
    return last;
  }

  // Steps in this order; the ends of a task get a slot that is free from its step to that of its last dependent.
  ReplayPlan laid_out(const std::vector<std::size_t>& order) const {
    std::vector<std::int32_t> readers(tasks_.size(), 0);
    std::vector<std::int32_t> receiver(tasks_.size(), -1);
    for (std::size_t at = 0; at < tasks_.size(); ++at)
      for_dependences(at, [&](std::size_t on) {
        ++readers[on];
        if (is_message(on) && tasks_[on].program != tasks_[at].program) receiver[on] = tasks_[at].program;
      });
    ReplayPlan plan;
    plan.data_tasks = counts_;
    std::vector<std::int32_t> slot(tasks_.size(), -1);
    std::vector<std::int32_t> free;
    for (const std::size_t at : order) {
      if (readers[at] > 0) {
        if (free.empty()) free.push_back(plan.slots++);
        slot[at] = free.back();
        free.pop_back();
      }
      plan.steps.push_back(
          {tasks_[at], static_cast<std::int32_t>(plan.inputs.size()), slot[at], receiver[at], data_tasks_[at]});
      for_dependences(at, [&](std::size_t on) {
        plan.inputs.push_back(slot[on]);
        if (--readers[on] == 0) free.push_back(slot[on]);
      });
    }
    return plan;
  }

  bool is_message(std::size_t at) const {
    const TaskKind kind = graph_.task(tasks_[at]).kind;
    return kind == TaskKind::send_activation || kind == TaskKind::send_gradient;
  }

  const TaskGraph& graph_;
  std::vector<std::size_t> first_;  // by program
  std::vector<TaskReference> tasks_;
  std::vector<std::size_t> before_;  // the task before it on its stream; itself where there is none
  std::vector<Edge> edges_;
  std::vector<std::int32_t> counts_;      // by program: tasks on its data stream
  std::vector<std::int32_t> data_tasks_;  // ReplayStep::data_tasks
};

}  // namespace

std::variant<ReplayPlan, Deadlock> plan_replay(const TaskGraph& graph, const ReplayOptions& options) {
  bool slows = false;
  for (std::size_t program = 0; program < graph.programs.size(); ++program) slows |= options.slowdown(program) > 1;
  return Planner(graph).plan(slows);
}

}  // namespace echelon
