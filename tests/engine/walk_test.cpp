#include "sim/engine/walk.h"

#include <random>

#include "tests/catch.h"

using namespace echelon;

namespace {

constexpr auto ps = [](std::int64_t count) { return Time::from_picoseconds(count); };

Task task_of(WorkId work, Stream stream = Stream::compute) {
  Task task;
  task.work = work;
  task.stream = stream;
  return task;
}

}  // namespace

TEST_CASE("a walk agrees with the events on random graphs") {
  std::mt19937_64 random(31);
  int walks = 0;
  for (int round = 0; round < 500; ++round) {
    TaskGraph graph;
    std::vector<WorkTime> times;
    const int programs = 1 + static_cast<int>(random() % 4);
    graph.programs.resize(static_cast<std::size_t>(programs));
    for (int i = 0; i < 40; ++i) {
      const auto p = static_cast<std::size_t>(random() % static_cast<unsigned>(programs));
      Task task = task_of(static_cast<WorkId>(times.size()), static_cast<Stream>(random() % stream_count));
      task.syncs_host = random() % 3 == 0;
      times.push_back({ps(static_cast<std::int64_t>(random() % 1000)), ps(static_cast<std::int64_t>(random() % 400))});
      graph.programs[p].append(task);
      const auto q = static_cast<std::size_t>(random() % static_cast<unsigned>(programs));
      if (graph.programs[q].tasks.size() > 1)
        graph.programs[p].depend(
            {static_cast<std::int32_t>(q), static_cast<TaskId>(random() % (graph.programs[q].tasks.size() - 1))});
    }
    for (const double slowdown : {1.0, 1.5}) {
      const auto walked = walk(graph, times, {slowdown});
      if (!walked) continue;
      ++walks;
      const Timeline replayed = std::get<Timeline>(replay(graph, times, {slowdown}));
      REQUIRE(walked->end == replayed.end);
      for (std::size_t p = 0; p < graph.programs.size(); ++p)
        for (std::size_t i = 0; i < graph.programs[p].tasks.size(); ++i) {
          REQUIRE(walked->tasks[p][i].start == replayed.tasks[p][i].start);
          REQUIRE(walked->tasks[p][i].end == replayed.tasks[p][i].end);
        }
    }
  }
  CHECK(walks > 500);
}

TEST_CASE("a walk times a prefetched gather before the compute task that it slows down") {
  // Compute tasks of 1000 ps, between them a gather of 600 ps that waits for nothing: at slowdown 1.5 the first compute
  // task does 400 ps of its work beside it and the other 600 after it, so it ends at 1200 ps.
  TaskGraph graph;
  graph.programs.resize(1);
  graph.programs[0].append(task_of(0));
  graph.programs[0].append(task_of(1, Stream::data));
  graph.programs[0].append(task_of(0));
  graph.programs[0].depend({0, 1});
  const auto walked = walk(graph, {{ps(1000), Time()}, {ps(600), Time()}}, {1.5});
  REQUIRE(walked);
  CHECK(walked->tasks[0][0].end == ps(1200));
  CHECK(walked->tasks[0][1].start == ps(0));
  CHECK(walked->end == ps(2200));
}

TEST_CASE("a walk leaves to the events what order alone does not tell") {
  const std::vector<WorkTime> times{{ps(1000), Time()}, {ps(600), Time()}};
  TaskGraph late;  // a collective that stands two compute tasks behind those that it runs beside
  late.programs.resize(1);
  late.programs[0].append(task_of(0));
  late.programs[0].append(task_of(0));
  late.programs[0].append(task_of(1, Stream::data));
  CHECK(walk(late, times, {1}));
  CHECK(!walk(late, times, {1.5}));

  TaskGraph tie;  // its own collective and another rank's task end at the same instant
  tie.programs.resize(2);
  tie.programs[0].append(task_of(1, Stream::data));
  tie.programs[0].append(task_of(0));
  tie.programs[0].depend({0, 0});
  tie.programs[0].depend({1, 0});
  tie.programs[1].append(task_of(1));
  CHECK(!walk(tie, times, {1}));

  TaskGraph circle;
  circle.programs.resize(2);
  for (const std::int32_t p : {0, 1}) {
    circle.programs[static_cast<std::size_t>(p)].append(task_of(0));
    circle.programs[static_cast<std::size_t>(p)].depend({1 - p, 0});
  }
  CHECK(!walk(circle, times, {1}));
}
