// The steady state of interleaved pipelines, found in few micro-batches, foretells the end of many.
#include "sim/engine/repetition.h"
#include "tests/catch.h"
#include "tests/strategies/lowered.h"
#include "tests/strategies/random_case.h"

using namespace echelon;

namespace {

Strategy interleaved(std::mt19937_64& random) {
  Strategy strategy = framework_defaults(random() % 2 == 0 ? FrameworkKind::megatron : FrameworkKind::nanotron);
  strategy.mesh.pipeline = 2 + static_cast<std::int64_t>(random() % 3);
  strategy.mesh.data = 1 + static_cast<std::int64_t>(random() % 2);
  strategy.schedule = ScheduleKind::interleaved;
  strategy.virtual_stages = 2 + static_cast<std::int64_t>(random() % 2);
  strategy.overlap_pipeline = random() % 2 == 0;
  strategy.overlap_gradient_reduce = random() % 2 == 0;
  strategy.synchronous_pipeline = random() % 2 == 0;
  strategy.sharding = random() % 2 == 0 ? Sharding::none : Sharding::zero1;
  return strategy;
}

Lowering lowered(const Strategy& strategy, std::int64_t micro_batches) {
  Workload workload;
  workload.sequence_length = 32;
  workload.global_batch = micro_batches * strategy.mesh.data * strategy.micro_batch;
  return std::get<Lowering>(lower(testing::tiny_gpt(72), workload, strategy, {strategy.mesh.ranks(), 8}));
}

Timeline timeline_of(const Lowering& lowering, const std::vector<WorkTime>& times) {
  return std::get<Timeline>(replay(lowering.graph, times, {1.2}));
}

}  // namespace

TEST_CASE("a steady state seen once foretells many micro-batches to the picosecond") {
  std::mt19937_64 random(37);
  int seen_once = 0;
  int compared = 0;
  for (int round = 0; round < 400; ++round) {
    const Strategy strategy = interleaved(random);
    const std::int64_t ranks = strategy.mesh.pipeline;
    const Lowering many = lowered(strategy, 12 * ranks);
    // Hosts that never hold back, that sometimes do and that always do.
    const std::uint64_t host = std::array<std::uint64_t, 4>{1, 300, 1000, 4000}[random() % 4];
    const bool alike = random() % 3 == 0;
    std::vector<WorkTime> times;
    for (std::size_t i = 0; i < many.works.size(); ++i)
      times.push_back({Time::from_picoseconds(static_cast<std::int64_t>(alike ? 1000 : random() % 1000)),
                       Time::from_picoseconds(static_cast<std::int64_t>(random() % host))});
    const Timeline whole = timeline_of(many, times);
    for (const std::int64_t groups : {3, 4}) {
      const Lowering few = lowered(strategy, groups * ranks);
      REQUIRE(few.works.size() == many.works.size());
      const Timeline timeline = timeline_of(few, times);
      const auto found = find_repetition(few.graph, times, timeline, {ranks * strategy.virtual_stages, ranks});
      if (!found) continue;
      ++(found->seen_once ? seen_once : compared);
      CAPTURE(ranks, strategy.virtual_stages, groups, host, alike, strategy.synchronous_pipeline);
      REQUIRE(timeline.end.picoseconds() + found->period.picoseconds() * (12 - groups) == whole.end.picoseconds());
    }
  }
  CHECK(seen_once > 50);
  CHECK(compared > 100);
}
