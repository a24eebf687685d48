#include "tests/engine/oracle.h"

#include <algorithm>
#include <array>

namespace echelon::oracle {

namespace {

std::size_t dependence_end(const Program& program, std::size_t task) {
  return task + 1 < program.tasks.size() ? static_cast<std::size_t>(program.tasks[task + 1].dependences)
                                         : program.dependences.size();
}

}  // namespace

Time makespan(const TaskGraph& graph, const std::vector<WorkTime>& times) {
  std::vector<std::vector<Time>> ends;
  for (const Program& program : graph.programs) ends.emplace_back(program.tasks.size());
  Time latest;
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t p = 0; p < graph.programs.size(); ++p) {
      const Program& program = graph.programs[p];
      std::array<Time, stream_count> stream_free{};
      Time host;
      for (std::size_t i = 0; i < program.tasks.size(); ++i) {
        const Task& task = program.tasks[i];
        Time& free = stream_free[static_cast<std::size_t>(task.stream)];
        Time start = free;
        for (auto d = static_cast<std::size_t>(task.dependences); d < dependence_end(program, i); ++d) {
          const TaskReference on = program.dependences[d];
          start = std::max(start, ends[static_cast<std::size_t>(on.program)][static_cast<std::size_t>(on.task)]);
        }
        const WorkTime& work = times[static_cast<std::size_t>(task.work)];
        Time end = start + work.device;
        if (task.stream == Stream::compute) {
          const Time issue = task.syncs_host ? std::max(host, start) : host;
          host = issue + work.host;
          end = std::max(std::max(start, issue) + work.device, host);
        }
        free = end;
        if (ends[p][i] != end) changed = true;
        ends[p][i] = end;
        latest = std::max(latest, end);
      }
    }
  }
  return latest;
}

}  // namespace echelon::oracle
