#include "sim/engine/replay.h"

#include <random>

#include "strategies/pipeline/schedule.h"
#include "tests/catch.h"
#include "tests/engine/oracle.h"

using namespace echelon;

namespace {

constexpr auto ps = [](std::int64_t count) { return Time::from_picoseconds(count); };

// A pipeline of one chunk or more a rank whose messages take no time of their own. Works: 0 forward, 1 full backward,
// 2 input gradient, 3 weight gradient.
TaskGraph pipeline(ScheduleKind kind, const ScheduleShape& shape) {
  TaskGraph graph;
  const auto ranks = static_cast<std::size_t>(shape.ranks);
  const std::int64_t stages = shape.ranks * shape.chunks;
  graph.programs.resize(ranks);
  std::vector<std::vector<TaskReference>> forward(
      static_cast<std::size_t>(stages), std::vector<TaskReference>(static_cast<std::size_t>(shape.micro_batches)));
  auto backward = forward;
  const Schedule schedule = build_schedule(kind, shape);
  const std::vector<RankOrder>& orders = schedule.ranks;
  const auto stage_at = [&](std::int64_t rank, const Action& action) {
    return static_cast<std::size_t>(stage_of(schedule.layout, shape, rank, action.chunk));
  };
  for (std::int64_t rank = 0; rank < shape.ranks; ++rank) {
    const RankOrder& order = orders[static_cast<std::size_t>(rank)];
    for (std::size_t i = 0; i < order.size(); ++i) {
      const Action& action = order[i];
      const std::size_t stage = stage_at(rank, action);
      const TaskReference self{static_cast<std::int32_t>(rank), static_cast<TaskId>(i)};
      if (action.pass == Pass::forward) forward[stage][static_cast<std::size_t>(action.micro_batch)] = self;
      if (action.pass == Pass::backward || action.pass == Pass::input_gradient)
        backward[stage][static_cast<std::size_t>(action.micro_batch)] = self;
    }
  }
  for (std::size_t rank = 0; rank < ranks; ++rank)
    for (const Action& action : orders[rank]) {
      const std::size_t stage = stage_at(static_cast<std::int64_t>(rank), action);
      const auto j = static_cast<std::size_t>(action.micro_batch);
      Task task;
      task.work = static_cast<WorkId>(action.pass);
      graph.programs[rank].append(task);
      if (action.pass == Pass::forward && stage > 0) graph.programs[rank].depend(forward[stage - 1][j]);
      const bool inputs = action.pass == Pass::backward || action.pass == Pass::input_gradient;
      if (inputs && stage + 1 < forward.size()) graph.programs[rank].depend(backward[stage + 1][j]);
    }
  return graph;
}

ScheduleShape shape_of(std::int64_t ranks, std::int64_t micro_batches, std::int64_t chunks) {
  ScheduleShape shape;
  shape.ranks = ranks;
  shape.micro_batches = micro_batches;
  shape.chunks = chunks;
  return shape;
}

Time makespan(const TaskGraph& graph, const std::vector<WorkTime>& times, double slowdown = 1) {
  return std::get<Timeline>(replay(graph, times, {slowdown})).end;
}

std::vector<WorkTime> times_of(std::int64_t forward, std::int64_t input, std::int64_t weight) {
  return {{ps(forward), Time()}, {ps(input + weight), Time()}, {ps(input), Time()}, {ps(weight), Time()}};
}

}  // namespace

TEST_CASE("GPipe and 1F1B lose (p-1)(F+B), interleaved a v-th of it") {
  // arXiv:2104.04473, section 2: bubble (p-1)(t_f + t_b), over v with v chunks whose passes take a v-th each.
  for (const std::int64_t p : {1, 2, 4, 8})
    for (const std::int64_t rounds : {1, 2, 5}) {
      const std::int64_t m = p * rounds;
      const auto whole = times_of(1200, 1200, 1200);
      const std::int64_t ideal = m * 3600;
      CHECK(makespan(pipeline(ScheduleKind::gpipe, shape_of(p, m, 1)), whole).picoseconds() == ideal + (p - 1) * 3600);
      CHECK(makespan(pipeline(ScheduleKind::one_f_one_b, shape_of(p, m, 1)), whole).picoseconds() ==
            ideal + (p - 1) * 3600);
      for (const std::int64_t v : {2, 3}) {
        const auto part = times_of(1200 / v, 1200 / v, 1200 / v);
        CHECK(makespan(pipeline(ScheduleKind::interleaved, shape_of(p, m, v)), part).picoseconds() ==
              ideal + (p - 1) * 3600 / v);
      }
    }
}

TEST_CASE("interleaved with one chunk is 1F1B") {
  const auto times = times_of(700, 900, 500);
  for (const std::int64_t p : {2, 4})
    CHECK(makespan(pipeline(ScheduleKind::interleaved, shape_of(p, 2 * p, 1)), times) ==
          makespan(pipeline(ScheduleKind::one_f_one_b, shape_of(p, 2 * p, 1)), times));
}

TEST_CASE("zero-bubble H1 gains the weight gradients of the warm-up") {
  // arXiv:2401.10241, table 1: ZB-H1 loses (p-1)(F + I - W); with equal times p = 4, m = 8: 24 + 3 = 27 units.
  CHECK(makespan(pipeline(ScheduleKind::zb_h1, shape_of(4, 8, 1)), times_of(1000, 1000, 1000)).picoseconds() == 27000);
}

TEST_CASE("the engine agrees with the slow oracle on random graphs") {
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    TaskGraph graph;
    std::vector<WorkTime> times;
    const int programs = 1 + static_cast<int>(random() % 4);
    graph.programs.resize(static_cast<std::size_t>(programs));
    for (int i = 0; i < 40; ++i) {
      const auto p = static_cast<std::size_t>(random() % static_cast<unsigned>(programs));
      Task task;
      task.work = static_cast<WorkId>(times.size());
      task.stream = static_cast<Stream>(random() % stream_count);
      task.syncs_host = random() % 3 == 0;
      times.push_back({ps(static_cast<std::int64_t>(random() % 1000)), ps(static_cast<std::int64_t>(random() % 400))});
      graph.programs[p].append(task);
      for (int d = 0; d < 2; ++d) {  // only on tasks that stand already: no cycles
        const auto q = static_cast<std::size_t>(random() % static_cast<unsigned>(programs));
        const auto tasks = static_cast<std::uint64_t>(graph.programs[q].tasks.size());
        if (tasks < 2) continue;
        const auto on = static_cast<TaskId>(random() % (tasks - 1));
        graph.programs[p].depend({static_cast<std::int32_t>(q), on});
      }
    }
    CHECK(makespan(graph, times) == oracle::makespan(graph, times));
  }
}

TEST_CASE("compute beside a collective is slowed only while it runs") {
  // 1000 ps of compute beside a 300 ps reduction at slowdown 1.5: 300 ps do the work of 200, the other 800 run at full
  // speed.
  TaskGraph graph;
  graph.programs.resize(1);
  Task compute;
  compute.work = 0;
  graph.programs[0].append(compute);
  Task reduce;
  reduce.work = 1;
  reduce.stream = Stream::data;
  graph.programs[0].append(reduce);
  CHECK(makespan(graph, {{ps(1000), Time()}, {ps(300), Time()}}, 1.5).picoseconds() == 1100);
}

TEST_CASE("a slow host shows as gaps") {
  TaskGraph graph;
  graph.programs.resize(1);
  for (int i = 0; i < 3; ++i) {
    Task task;
    task.work = 0;
    graph.programs[0].append(task);
  }
  CHECK(makespan(graph, {{ps(100), ps(250)}}).picoseconds() == 750);   // launch-bound
  CHECK(makespan(graph, {{ps(400), ps(250)}}).picoseconds() == 1200);  // the host runs ahead
}

TEST_CASE("tasks that wait for each other are reported as a cycle") {
  TaskGraph graph;
  graph.programs.resize(2);
  for (std::size_t p = 0; p < 2; ++p) {
    Task task;
    task.work = 0;
    graph.programs[p].append(task);
    graph.programs[p].depend({static_cast<std::int32_t>(1 - p), 0});
  }
  const auto outcome = replay(graph, {{ps(1), Time()}}, {});
  REQUIRE(std::holds_alternative<Deadlock>(outcome));
  const auto& cycle = std::get<Deadlock>(outcome).cycle;
  REQUIRE(cycle.size() == 3);
  CHECK(cycle.front() == cycle.back());
  CHECK(describe(graph, cycle[0]).find("pipeline rank") != std::string::npos);
}
