// Every rank on its own with traffic on links: against one rank for each stage with the same traffic, and against fixed
// times where no link is shared.
#include "sim/engine/full_replay.h"
#include "strategies/mesh.h"
#include "tests/catch.h"
#include "tests/strategies/random_case.h"

using namespace echelon;

namespace {

constexpr double bytes_a_picosecond = 1e12;  // of a link, so that a flow of n bytes takes n picoseconds alone

std::vector<WorkTime> random_times(std::size_t works, std::mt19937_64& random) {
  const std::uint64_t host = random() % 2 == 0 ? 800 : 1;
  std::vector<WorkTime> times;
  for (std::size_t i = 0; i < works; ++i)
    times.push_back({Time::from_picoseconds(static_cast<std::int64_t>(random() % 10000)),
                     Time::from_picoseconds(static_cast<std::int64_t>(random() % host))});
  return times;
}

RankLayout layout_of(const Mesh& mesh) {
  return {mesh.tensor, mesh.context, mesh.data, data_ranks_sharing_experts(mesh)};
}

enum class Links { own, of_rank };

// What the layers of a task send: two turns, in each a flow of every rank on the link of its messages.
LayerFlows layers_of(const WorkTime& time, const RankLayout& layout, LinkTraffic& traffic) {
  TrafficPattern pattern{{{}}, Time(), {{}}};
  const Bytes bytes(0.3 * static_cast<double>(time.device.picoseconds()));
  for (std::int32_t rank = 0; rank < static_cast<std::int32_t>(layout.stage_ranks()); ++rank) {
    const auto first = group_of(layout, TaskScope::lockstep, static_cast<std::size_t>(rank)).first;
    pattern.steps[0].push_back({Time(), bytes, {{rank, 1}}, Time(), ByteRate(0)});
    pattern.owners[0].push_back({static_cast<std::int32_t>(first), -1, -1});
  }
  traffic.patterns.push_back(std::move(pattern));
  return {static_cast<std::int32_t>(traffic.patterns.size()) - 1, {{0.25, 0.375, 0}, {0.375, 0, 0}}};
}

// Messages and data-parallel collectives as one flow a group, which alone takes what the work does. own: each on a link
// of its own; of_rank: all messages of a rank share one with what its layers send, and all collectives of a data group
// another.
LinkTraffic traffic_of(const TaskGraph& graph, const std::vector<WorkTime>& times, const RankLayout& layout,
                       Links links) {
  LinkTraffic traffic;
  const auto width = static_cast<std::int32_t>(layout.stage_ranks());
  if (links == Links::of_rank)
    traffic.capacities.assign(2 * static_cast<std::size_t>(width), ByteRate(bytes_a_picosecond));
  for (const Program& program : graph.programs) {
    traffic.pattern_of.emplace_back();
    traffic.layers_of.emplace_back();
    for (const Task& task : program.tasks) {
      const TaskScope scope = scope_of(task.kind);
      const bool layers = links == Links::of_rank && scope == TaskScope::lockstep;
      traffic.layers_of.back().push_back(layers ? static_cast<std::int32_t>(traffic.layers.size()) : -1);
      if (layers) traffic.layers.push_back(layers_of(times[static_cast<std::size_t>(task.work)], layout, traffic));
      // Traffic on the compute stream is not slowed beside other traffic, as fixed times there are; nor is what stages
      // lend each other or exchange for a divided vocabulary.
      const bool compared =
          links == Links::of_rank || (task.stream != Stream::compute && task.stream != Stream::stages);
      if (!compared || task.stream == Stream::to_host || task.stream == Stream::from_host ||
          (scope != TaskScope::rank && scope != TaskScope::data_group)) {
        traffic.pattern_of.back().push_back(-1);
        continue;
      }
      TrafficPattern pattern;
      pattern.steps.emplace_back();
      pattern.owners.emplace_back();
      const std::int64_t groups = scope == TaskScope::rank ? width : layout.tensor;
      for (std::int32_t group = 0; group < groups; ++group) {
        LinkId link = scope == TaskScope::rank ? group : width + group;
        if (links == Links::own) {
          link = static_cast<LinkId>(traffic.capacities.size());
          traffic.capacities.emplace_back(bytes_a_picosecond);
        }
        const Bytes bytes(static_cast<double>(times[static_cast<std::size_t>(task.work)].device.picoseconds()));
        pattern.steps.back().push_back({Time(), bytes, {{link, 1}}, Time(), ByteRate(0)});
        pattern.owners.back().push_back({group, -1, -1});
      }
      traffic.pattern_of.back().push_back(static_cast<std::int32_t>(traffic.patterns.size()));
      traffic.patterns.push_back(std::move(pattern));
    }
  }
  return traffic;
}

template <class Check>
void over_random_cases(std::uint64_t seed, int count, Check check) {
  testing::CaseSource source(seed);
  std::mt19937_64 random(seed);
  for (int found = 0; found < count;) {
    const testing::Case one = source.next();
    const auto outcome = lower(one.model, one.workload, one.strategy, one.placement);
    if (!std::holds_alternative<Lowering>(outcome)) continue;
    ++found;
    INFO(describe(one));
    const Lowering& lowering = std::get<Lowering>(outcome);
    for (const double slowdown : {1.0, 1.3})
      check(lowering, random_times(lowering.works.size(), random), layout_of(one.strategy.mesh), slowdown);
  }
}

}  // namespace

TEST_CASE("with links that all ranks share alike, full and folded replay agree to the picosecond") {
  over_random_cases(
      21, 150,
      [](const Lowering& lowering, const std::vector<WorkTime>& times, const RankLayout& layout, double slowdown) {
        const LinkTraffic traffic = traffic_of(lowering.graph, times, layout, Links::of_rank);
        const ReplayOptions options{slowdown, &traffic};
        const Timeline folded = std::get<Timeline>(replay(lowering.graph, times, options));
        const auto plan = std::get<ReplayPlan>(plan_replay(lowering.graph, options));
        const std::vector<WorkParts> parts(times.size());
        const FullTimeline full = FullReplay(lowering.graph, plan, times, parts, layout, options).run({}, 0);
        REQUIRE(full.end == folded.end);
        CHECK(!full.pace);
        const auto stage_ranks = static_cast<std::size_t>(layout.stage_ranks());
        for (std::size_t rank = 0; rank < full.rank_ends.size(); ++rank) {
          Time end;
          for (const TaskTime& task : folded.tasks[rank / stage_ranks]) end = std::max(end, task.end);
          REQUIRE(full.rank_ends[rank] == end);
        }
      });
}

TEST_CASE("with a link for each flow, ranks that differ take what fixed times say") {
  over_random_cases(
      22, 150,
      [](const Lowering& lowering, const std::vector<WorkTime>& times, const RankLayout& layout, double slowdown) {
        const LinkTraffic traffic = traffic_of(lowering.graph, times, layout, Links::own);
        const ReplayOptions fixed{slowdown};
        const ReplayOptions flows{slowdown, &traffic};
        const auto plan = std::get<ReplayPlan>(plan_replay(lowering.graph, fixed));
        std::vector<WorkParts> parts;
        for (const Work& work : lowering.works) {
          const Time device = times[parts.size()].device;
          parts.push_back(std::holds_alternative<ComputeWork>(work) ? WorkParts{device, Time()} : WorkParts{});
        }
        RankVariation variation;
        variation.variability.compute_cv = 0.3;
        variation.faults.push_back({layout.stage_ranks() - 1, 1.5, 1, Time()});
        const FullTimeline one = FullReplay(lowering.graph, plan, times, parts, layout, fixed).run(variation, 3);
        const FullTimeline other = FullReplay(lowering.graph, plan, times, parts, layout, flows).run(variation, 3);
        REQUIRE(one.end == other.end);
        REQUIRE(one.rank_ends == other.rank_ends);
        REQUIRE(one.rank_idle == other.rank_idle);
        CHECK(!other.link);
      });
}
