// A timeline without events is that of the events, and copied micro-batches are wired as written ones.
#include "sim/engine/walk.h"
#include "tests/catch.h"
#include "tests/strategies/random_case.h"

using namespace echelon;

namespace {

std::vector<WorkTime> random_times(std::size_t works, std::mt19937_64& random) {
  const auto up_to = [&random](std::uint64_t most) {
    return Time::from_picoseconds(static_cast<std::int64_t>(random() % most));
  };
  // Half the cases have a host that holds back, and a third few distinct times, so that many events coincide.
  const std::uint64_t host = random() % 2 == 0 ? 8000 : 1;
  const std::uint64_t device = random() % 3 == 0 ? 8 : 10000;
  std::vector<WorkTime> times;
  for (std::size_t i = 0; i < works; ++i) times.push_back({up_to(device), up_to(host)});
  return times;
}

// More micro-batches than the source gives, so that most are copies of the second.
testing::Case with_more_batches(testing::Case one, std::mt19937_64& random) {
  one.workload.global_batch *= 1 + static_cast<std::int64_t>(random() % 3);
  return one;
}

bool same_place(const TaskGraph& graph, std::size_t program, TaskReference a, TaskReference b) {
  const auto own = static_cast<std::int32_t>(program);
  return a == b || (a.program != own && b.program != own && graph.task(a).kind == graph.task(b).kind);
}

// Starts and ends, and what held a task back longer than its stream did.
void require_same(const TaskGraph& graph, const Timeline& walked, const Timeline& replayed) {
  REQUIRE(walked.end == replayed.end);
  for (std::size_t p = 0; p < graph.programs.size(); ++p) {
    REQUIRE(walked.tasks[p].size() == replayed.tasks[p].size());
    std::array<Time, stream_count> free{};
    for (std::size_t i = 0; i < walked.tasks[p].size(); ++i) {
      const TaskTime& ours = walked.tasks[p][i];
      const TaskTime& theirs = replayed.tasks[p][i];
      REQUIRE(ours.start == theirs.start);
      REQUIRE(ours.end == theirs.end);
      REQUIRE((ours.blocker.program < 0) == (theirs.blocker.program < 0));
      Time& stream = free[static_cast<std::size_t>(graph.programs[p].tasks[i].stream)];
      if (ours.blocker.program >= 0) {
        const auto& held = [&](TaskReference by) -> const TaskTime& {
          return replayed.tasks[static_cast<std::size_t>(by.program)][static_cast<std::size_t>(by.task)];
        };
        REQUIRE(held(ours.blocker).end == held(theirs.blocker).end);
        if (held(ours.blocker).end > stream) {
          REQUIRE(held(ours.blocker).start == held(theirs.blocker).start);
          REQUIRE(same_place(graph, p, ours.blocker, theirs.blocker));
        }
      }
      stream = ours.end;
    }
  }
}

bool sends(const Task& task) {
  return (task.kind == TaskKind::send_activation || task.kind == TaskKind::send_gradient);
}

}  // namespace

TEST_CASE("walking a graph gives the timeline of its events to the picosecond, on random strategies") {
  testing::CaseSource source(23);
  std::mt19937_64 random(23);
  int walks = 0;
  int graphs = 0;
  for (int found = 0; found < 800;) {
    const testing::Case one = with_more_batches(source.next(), random);
    const auto outcome = lower(one.model, one.workload, one.strategy, one.placement);
    if (!std::holds_alternative<Lowering>(outcome)) continue;
    ++found;
    INFO(describe(one));
    const Lowering& lowering = std::get<Lowering>(outcome);
    const std::vector<WorkTime> times = random_times(lowering.works.size(), random);
    for (const double slowdown : {1.0, 1.3}) {
      ++graphs;
      const auto walked = walk(lowering.graph, times, {slowdown});
      if (!walked) continue;
      ++walks;
      require_same(lowering.graph, *walked, std::get<Timeline>(replay(lowering.graph, times, {slowdown})));
    }
  }
  CAPTURE(walks, graphs);
  CHECK(walks * 10 > graphs * 7);
}

TEST_CASE("every message is of the micro-batch that waits for it, and one pass waits for it") {
  testing::CaseSource source(29);
  std::mt19937_64 random(29);
  for (int found = 0; found < 400;) {
    testing::Case one = with_more_batches(source.next(), random);
    one.strategy.overlap_pipeline = true;
    const auto outcome = lower(one.model, one.workload, one.strategy, one.placement);
    if (!std::holds_alternative<Lowering>(outcome)) continue;
    ++found;
    INFO(describe(one));
    const TaskGraph& graph = std::get<Lowering>(outcome).graph;
    std::vector<std::vector<int>> awaited;
    for (const Program& program : graph.programs) awaited.emplace_back(program.tasks.size(), 0);
    for (std::size_t p = 0; p < graph.programs.size(); ++p) {
      const Program& program = graph.programs[p];
      for (std::size_t i = 0; i < program.tasks.size(); ++i) {
        const Task& task = program.tasks[i];
        const std::size_t end = i + 1 < program.tasks.size()
                                    ? static_cast<std::size_t>(program.tasks[i + 1].dependences)
                                    : program.dependences.size();
        for (auto d = static_cast<std::size_t>(task.dependences); d < end; ++d) {
          const TaskReference on = program.dependences[d];
          const Task& there = graph.task(on);
          if (there.stream == Stream::compute || !sends(there)) continue;
          ++awaited[static_cast<std::size_t>(on.program)][static_cast<std::size_t>(on.task)];
          REQUIRE(there.micro_batch == task.micro_batch);
          REQUIRE((there.kind == TaskKind::send_activation) ==
                  (task.kind == TaskKind::forward || task.kind == TaskKind::send_activation));
        }
      }
    }
    if (one.strategy.schedule == ScheduleKind::pipedream || one.strategy.schedule == ScheduleKind::pipedream_2bw)
      continue;  // never empties: nobody waits
    for (std::size_t p = 0; p < graph.programs.size(); ++p)
      for (std::size_t i = 0; i < awaited[p].size(); ++i)
        if (sends(graph.programs[p].tasks[i]) && graph.programs[p].tasks[i].stream != Stream::compute)
          REQUIRE(awaited[p][i] == 1);
  }
}
