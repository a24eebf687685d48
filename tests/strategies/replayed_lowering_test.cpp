// Random strategies, lowered and replayed with random times: what holds whatever the times are.
#include <boost/graph/topological_sort.hpp>

#include "sim/engine/replay.h"
#include "tests/catch.h"
#include "tests/strategies/random_case.h"

using namespace echelon;

namespace {

using Times = std::vector<WorkTime>;

Times random_times(const Lowering& lowering, std::mt19937_64& random, bool with_host) {
  const auto up_to = [&random](std::uint64_t most) {
    return Time::from_picoseconds(static_cast<std::int64_t>(random() % most));
  };
  Times times;
  for (std::size_t i = 0; i < lowering.works.size(); ++i)
    times.push_back({up_to(10000), with_host ? up_to(8000) : Time()});
  return times;
}

Time makespan(const Lowering& lowering, const Times& times, double slowdown = 1) {
  const auto outcome = replay(lowering.graph, times, {slowdown});
  REQUIRE(std::holds_alternative<Timeline>(outcome));
  return std::get<Timeline>(outcome).end;
}

// The longest path through stream order and dependences, device times alone.
Time critical_path(const Lowering& lowering, const Times& times) {
  const DependenceGraph graph = dependence_graph(lowering.graph);
  std::vector<std::size_t> backwards;
  boost::topological_sort(graph, std::back_inserter(backwards));
  std::vector<Time> ends(num_vertices(graph));
  Time longest;
  for (auto vertex = backwards.rbegin(); vertex != backwards.rend(); ++vertex) {
    ends[*vertex] += times[static_cast<std::size_t>(lowering.graph.task(graph[*vertex]).work)].device;
    longest = std::max(longest, ends[*vertex]);
    for (const auto edge : boost::make_iterator_range(out_edges(*vertex, graph)))
      ends[target(edge, graph)] = std::max(ends[target(edge, graph)], ends[*vertex]);
  }
  return longest;
}

// The busiest stream of any rank: no replay is shorter.
Time busiest_stream(const Lowering& lowering, const Times& times) {
  Time busiest;
  for (const Program& program : lowering.graph.programs) {
    std::array<Time, stream_count> busy{};
    for (const Task& task : program.tasks)
      busy[static_cast<std::size_t>(task.stream)] += times[static_cast<std::size_t>(task.work)].device;
    busiest = std::max(busiest, *std::max_element(busy.begin(), busy.end()));
  }
  return busiest;
}

// Makes every work of one kind slower by half: all compute, all collectives, all messages, ...
Times slower(const Lowering& lowering, Times times, std::size_t kind) {
  for (std::size_t i = 0; i < times.size(); ++i)
    if (lowering.works[i].index() == kind)
      times[i].device = Time::from_picoseconds(times[i].device.picoseconds() * 3 / 2);
  return times;
}

template <class Check>
void for_random_lowerings(std::uint64_t seed, const Check& check) {
  testing::CaseSource source(seed);
  std::mt19937_64 random(seed);
  for (int found = 0; found < 300;) {
    const testing::Case one = source.next();
    const auto outcome = lower(one.model, one.workload, one.strategy, one.placement);
    if (!std::holds_alternative<Lowering>(outcome)) continue;
    ++found;
    INFO(describe(one));
    check(std::get<Lowering>(outcome), random);
  }
}

}  // namespace

TEST_CASE("no strategy deadlocks, and with a host that never holds back the replay is the critical path") {
  for_random_lowerings(6, [](const Lowering& lowering, std::mt19937_64& random) {
    const Times times = random_times(lowering, random, false);
    const Time end = makespan(lowering, times);
    CHECK(end == critical_path(lowering, times));
    CHECK(end >= busiest_stream(lowering, times));
  });
}

TEST_CASE("a slow host and collectives beside compute only lengthen the critical path") {
  for_random_lowerings(7, [](const Lowering& lowering, std::mt19937_64& random) {
    const Times times = random_times(lowering, random, true);
    const Time path = critical_path(lowering, times);
    const Time end = makespan(lowering, times);
    CHECK(path <= end);
    CHECK(end <= makespan(lowering, times, 1.3));
  });
}

TEST_CASE("no iteration is shorter for slower kernels or links") {
  for_random_lowerings(8, [](const Lowering& lowering, std::mt19937_64& random) {
    for (const bool with_host : {false, true}) {
      const Times times = random_times(lowering, random, with_host);
      const Time end = makespan(lowering, times);
      for (std::size_t kind = 0; kind < std::variant_size_v<Work>; ++kind) {
        INFO("kind of work " << kind);
        CHECK(makespan(lowering, slower(lowering, times, kind)) >= end);
      }
      Times one_slower = times;
      one_slower[random() % times.size()].device += Time::from_picoseconds(5000);
      CHECK(makespan(lowering, one_slower) >= end);
      Times host_slower = times;
      host_slower[random() % times.size()].host += Time::from_picoseconds(5000);
      CHECK(makespan(lowering, host_slower) >= end);
      // Where compute is slower beside collectives, one that comes later may disturb less: what is slower elsewhere can
      // save some of that, but no more.
      for (std::size_t kind = 0; kind < std::variant_size_v<Work>; ++kind) {
        INFO("beside collectives, kind of work " << kind);
        CHECK(makespan(lowering, slower(lowering, times, kind), 1.2) >= end);
      }
    }
  });
}

TEST_CASE("a pipeline that never empties runs as fast as its busiest rank") {
  for_random_lowerings(17, [](const Lowering& lowering, std::mt19937_64& random) {
    if (lowering.graph.programs.size() < 2) return;
    const auto waits = [](const Program& program, std::size_t self) {
      return std::any_of(program.dependences.begin(), program.dependences.end(),
                         [&](const TaskReference& on) { return on.program != static_cast<std::int32_t>(self); });
    };
    for (std::size_t rank = 0; rank < lowering.graph.programs.size(); ++rank)
      if (waits(lowering.graph.programs[rank], rank)) return;
    const Times times = random_times(lowering, random, false);
    CHECK(makespan(lowering, times) >= busiest_stream(lowering, times));
    CHECK(makespan(lowering, times) == critical_path(lowering, times));
  });
}
