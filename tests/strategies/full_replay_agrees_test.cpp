// With nothing to tell ranks apart, every rank on its own takes what one rank for each stage takes.
#include "sim/engine/full_replay.h"
#include "strategies/mesh.h"
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

Time program_end(const std::vector<TaskTime>& tasks) {
  Time end;
  for (const TaskTime& task : tasks) end = std::max(end, task.end);
  return end;
}

Time busy(const Program& program, const std::vector<TaskTime>& tasks) {
  Time sum;
  for (std::size_t i = 0; i < tasks.size(); ++i)
    if (program.tasks[i].stream == Stream::compute) sum += tasks[i].end - tasks[i].start;
  return sum;
}

}  // namespace

TEST_CASE("full and folded replay agree to the picosecond on random strategies") {
  testing::CaseSource source(11);
  std::mt19937_64 random(11);
  for (int found = 0; found < 600;) {
    const testing::Case one = source.next();
    const auto outcome = lower(one.model, one.workload, one.strategy, one.placement);
    if (!std::holds_alternative<Lowering>(outcome)) continue;
    ++found;
    INFO(describe(one));
    const Lowering& lowering = std::get<Lowering>(outcome);
    const std::vector<WorkTime> times = random_times(lowering.works.size(), random);
    const std::vector<WorkParts> parts(times.size());
    const Mesh& mesh = one.strategy.mesh;
    const RankLayout layout{mesh.tensor, mesh.context, mesh.data, data_ranks_sharing_experts(mesh)};
    for (const double slowdown : {1.0, 1.3}) {
      const Timeline folded = std::get<Timeline>(replay(lowering.graph, times, {slowdown}));
      const auto plan = std::get<ReplayPlan>(plan_replay(lowering.graph, {slowdown}));
      const FullTimeline full = FullReplay(lowering.graph, plan, times, parts, layout, {slowdown}).run({}, 0);
      REQUIRE(full.end == folded.end);
      CHECK(!full.pace);
      REQUIRE(std::ssize(full.rank_ends) == mesh.ranks());
      const auto stage_ranks = static_cast<std::size_t>(layout.stage_ranks());
      for (std::size_t rank = 0; rank < full.rank_ends.size(); ++rank) {
        const std::size_t program = rank / stage_ranks;
        REQUIRE(full.rank_ends[rank] == program_end(folded.tasks[program]));
        REQUIRE(full.rank_idle[rank] == folded.end - busy(lowering.graph.programs[program], folded.tasks[program]));
      }
    }
  }
}
