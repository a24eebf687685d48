#include "sim/engine/traffic.h"

#include "sim/engine/replay.h"
#include "tests/catch.h"

namespace echelon {

namespace {

Time milliseconds(double value) {
  return Time::from_seconds(Seconds(value * 1e-3));
}

Flow megabytes(double count, LinkId link) {
  return {Time(), Bytes(count * 1e6), {{link, 1}}, Time(), ByteRate(0)};
}

// Two ranks that each compute for a millisecond (work 0) and reduce gradients on their data stream meanwhile (work 1,
// with a fixed time of half a millisecond).
TaskGraph two_ranks() {
  TaskGraph graph;
  for (int rank = 0; rank < 2; ++rank) {
    Program program;
    Task reduce;
    reduce.work = 1;
    reduce.kind = TaskKind::gradient_reduce;
    reduce.stream = Stream::data;
    program.append(reduce);
    Task compute;
    compute.work = 0;
    program.append(compute);
    graph.programs.push_back(program);
  }
  return graph;
}

const std::vector<WorkTime> times = {{milliseconds(1), Time()}, {milliseconds(0.5), Time()}};

// Both ranks' reductions send two megabytes, over the links given, of 1 GB/s each.
LinkTraffic reductions(LinkId first, LinkId second) {
  LinkTraffic traffic;
  traffic.capacities = {gigabytes_per_second(1), gigabytes_per_second(1)};
  traffic.patterns = {{{{megabytes(2, first)}}, Time(), {}}, {{{megabytes(2, second)}}, Time(), {}}};
  traffic.pattern_of = {{0, -1}, {1, -1}};
  return traffic;
}

Timeline replayed(const LinkTraffic* traffic, double slowdown = 1) {
  return std::get<Timeline>(replay(two_ranks(), times, {slowdown, traffic}));
}

}  // namespace

TEST_CASE("tasks on links of their own take their bytes' time, on one link twice that") {
  const LinkTraffic apart = reductions(0, 1);
  const LinkTraffic together = reductions(0, 0);
  for (const std::size_t rank : {0U, 1U}) {
    CHECK(replayed(nullptr).tasks[rank][0].end == milliseconds(0.5));
    CHECK(replayed(&apart).tasks[rank][0].end == milliseconds(2));
    CHECK(replayed(&together).tasks[rank][0].end == milliseconds(4));
    CHECK(replayed(&together).tasks[rank][0].on_links);
    CHECK(replayed(&together).tasks[rank][1].end == milliseconds(1));
  }
}

TEST_CASE("compute is slowed for as long as the traffic beside it lasts") {
  // 1 ms of work at half speed, all of it beside 2 ms of traffic.
  const LinkTraffic traffic = reductions(0, 1);
  CHECK(replayed(&traffic, 2).tasks[0][1].end == milliseconds(2));
  // At a quarter: the traffic ends at 2 ms, when half of the work is left.
  CHECK(replayed(&traffic, 4).tasks[0][1].end == milliseconds(2.5));
}

TEST_CASE("a task's steps follow each other, and what comes after the last") {
  LinkTraffic traffic = reductions(0, 1);
  traffic.patterns[0].steps = {{megabytes(1, 0), megabytes(1, 0)}, {}, {megabytes(3, 1)}};
  traffic.patterns[0].after = milliseconds(0.25);
  // 2 ms on link 0; then 3 MB on link 1, which the other rank has left at 2 ms.
  const Timeline timeline = replayed(&traffic);
  CHECK(timeline.tasks[1][0].end == milliseconds(2));
  CHECK(timeline.tasks[0][0].end == milliseconds(5.25));
}

TEST_CASE("a compute task's layers send in turns between its compute") {
  // Half a millisecond of compute, then 1 MB beside a quarter of one, twice: 2 (0.25 + 1) ms with a link of its own.
  LinkTraffic traffic = reductions(0, 1);
  for (auto& pattern : traffic.patterns) pattern.steps[0][0].bytes = Bytes(1e6);
  traffic.pattern_of = {{-1, -1}, {-1, -1}};
  traffic.layers = {{0, {{0.25, 0.25, 0}, {0.25, 0.25, 0}}}, {1, {{0.25, 0.25, 0}, {0.25, 0.25, 0}}}};
  traffic.layers_of = {{-1, 0}, {-1, 1}};
  const TaskTime apart = replayed(&traffic).tasks[0][1];
  CHECK(apart.end == milliseconds(2.5));
  CHECK(apart.sending == milliseconds(1.5));
  // On one link each has half of it.
  traffic.patterns[1] = traffic.patterns[0];
  CHECK(replayed(&traffic).tasks[0][1].end == milliseconds(4.5));
  // Compute that outlasts its flows hides them.
  traffic.layers[0].turns = {{0, 1, 0}};
  traffic.layers[1].turns = {{1, 0, 0}};
  CHECK(replayed(&traffic).tasks[0][1].end == milliseconds(1));
  CHECK(replayed(&traffic).tasks[0][1].sending == Time());
  CHECK(replayed(&traffic).tasks[1][1].end == milliseconds(2));
}

TEST_CASE("a task whose layers send ends no earlier than its host has launched it, and is slowed by what runs beside") {
  LinkTraffic traffic = reductions(0, 1);
  traffic.patterns.push_back({{{megabytes(1, 0)}}, Time(), {}});
  traffic.layers = {{2, {{0.5, 0.5, 0}}}};
  traffic.layers_of = {{-1, 0}, {-1, -1}};
  // 2 MB of the reduction and, after half of the compute at half speed, 1 MB of the layers share link 0 from 1 ms on:
  // 1 MB each is through at 3 ms.
  CHECK(replayed(&traffic, 2).tasks[0][1].end == milliseconds(3));
  std::vector<WorkTime> slow_host = times;
  slow_host[0].host = milliseconds(7);
  const auto timeline = std::get<Timeline>(replay(two_ranks(), slow_host, {1, &traffic}));
  CHECK(timeline.tasks[0][1].end == milliseconds(7));
}

TEST_CASE("numbers of flows that have ended serve again, and no end is told twice") {
  LinkTraffic traffic = reductions(0, 0);
  TrafficRun run(traffic);
  for (int round = 0; round < 50; ++round) {
    const Time start = milliseconds(10 * round);
    run.begin({0, 0}, start);
    run.begin({1, 0}, start);
    std::vector<TaskThrough> through;
    while (run.next_event_time() < Time::max())
      for (const TaskThrough& one : run.advance(run.next_event_time())) through.push_back(one);
    REQUIRE(through.size() == 2);
    CHECK(through[0].end == start + milliseconds(4));
    CHECK(through[1].end == start + milliseconds(4));
  }
}

TEST_CASE("another job's flows on a task's link take half of it while they last") {
  LinkTraffic traffic = reductions(0, 1);
  traffic.background.push_back({{{{megabytes(1, 0)}}, Time(), {}}, Time(), Time()});
  // 2 MB at half of 1 GB/s, and nothing changes on the other link.
  CHECK(replayed(&traffic).tasks[0][0].end == milliseconds(4));
  CHECK(replayed(&traffic).tasks[1][0].end == milliseconds(2));
  // Once every 10 ms: both have moved 1 MB after 2 ms; the task's last MB has the link alone.
  traffic.background[0].every = milliseconds(10);
  CHECK(replayed(&traffic).tasks[0][0].end == milliseconds(3));
  // From 1 ms on, with 1 MB left for each.
  traffic.background[0].first = milliseconds(1);
  CHECK(replayed(&traffic).tasks[0][0].end == milliseconds(3));
  traffic.background[0].first = milliseconds(5);
  CHECK(replayed(&traffic).tasks[0][0].end == milliseconds(2));
}

TEST_CASE("a flow whose link goes down goes on over another") {
  // 2 MB over link 0; from 1 ms on over link 1, which the other task's 2 MB have had to themselves so far: 1 MB is left
  // of each, at half of 1 GB/s.
  LinkTraffic traffic = reductions(0, 1);
  traffic.later.push_back({milliseconds(1), {true, false}, reductions(1, 1).patterns, {}});
  CHECK(replayed(&traffic).tasks[0][0].end == milliseconds(3));
  CHECK(replayed(&traffic).tasks[1][0].end == milliseconds(3));
  // Since the beginning: both share link 1. After the end: nothing changes.
  traffic.later[0].from = Time();
  CHECK(replayed(&traffic).tasks[0][0].end == milliseconds(4));
  traffic.later[0].from = milliseconds(20);
  CHECK(replayed(&traffic).tasks[0][0].end == milliseconds(2));
}

TEST_CASE("works that start later take the later time") {
  ReplayOptions options;
  options.later.push_back({milliseconds(0.5), {{milliseconds(7), Time()}, {milliseconds(7), Time()}}});
  const Timeline timeline = std::get<Timeline>(replay(two_ranks(), times, options));
  CHECK(timeline.tasks[0][1].end == milliseconds(1));
  options.later[0].from = Time();
  CHECK(std::get<Timeline>(replay(two_ranks(), times, options)).tasks[0][1].end == milliseconds(7));
}

TEST_CASE("what holds a task's last flow back is told by its link") {
  LinkTraffic traffic = reductions(0, 0);
  TrafficRun run(traffic);
  run.begin({0, 0}, Time());
  run.begin({1, 0}, Time());
  while (run.next_event_time() < Time::max())
    for (const TaskThrough& one : run.advance(run.next_event_time())) CHECK(one.held_by == 0);
  TrafficRun alone(traffic);
  alone.begin({0, 0}, Time());
  while (alone.next_event_time() < Time::max())
    for (const TaskThrough& one : alone.advance(alone.next_event_time())) CHECK(one.held_by == -1);
}

}  // namespace echelon
