#include "sim/engine/memory_ledger.h"
#include "strategies/pipeline/timing.h"
#include "tests/catch.h"
#include "tests/strategies/lowered.h"
#include "tests/strategies/schedule_shapes.h"

using namespace echelon;
using testing::shape_of;

namespace {

Lowering lowered(ScheduleKind kind, std::int64_t ranks, std::int64_t micro_batches) {
  Strategy strategy = framework_defaults(FrameworkKind::megatron);
  strategy.mesh.pipeline = ranks;
  strategy.schedule = kind;
  Workload workload;
  workload.global_batch = micro_batches;
  workload.sequence_length = 32;
  return std::get<Lowering>(lower(testing::tiny_gpt(ranks), workload, strategy, {ranks, 8}));
}

ScheduleTiming timing_with(ScheduleKind kind, std::int64_t micro_batches, double communication) {
  ScheduleCosts costs;
  costs.communication = communication;
  return timing_of(build_schedule(kind, shape_of(8, micro_batches)), costs);
}

}  // namespace

TEST_CASE("BPipe keeps every rank at (p + 2) / 2 micro-batches and 1F1B's time") {
  for (std::int64_t p = 1; p <= 20; ++p)
    for (const std::int64_t m : {std::int64_t{1}, p, 3 * p}) {
      CAPTURE(p, m);
      const Schedule schedule = build_schedule(ScheduleKind::bpipe, shape_of(p, m));
      const Schedule plain = build_schedule(ScheduleKind::one_f_one_b, shape_of(p, m));
      CHECK(schedule.ranks == plain.ranks);
      const ScheduleTiming timing = timing_of(schedule, {});
      CHECK(timing.makespan == timing_of(plain, {}).makespan);
      for (const double peak : timing.peak) CHECK(peak <= static_cast<double>((p + 3) / 2));
    }
}

TEST_CASE("what BPipe lends takes its messages' time") {
  // Rank 0 of 8 lends from micro-batch 4 on. Its warm-up ends with passes 4, 5 and 6, and each but the first waits for
  // the room behind what left before it: a message each.
  const ScheduleTiming loans = timing_with(ScheduleKind::bpipe, 16, 0.25);
  const ScheduleTiming plain = timing_with(ScheduleKind::one_f_one_b, 16, 0.25);
  const auto delay = [&](std::size_t pass) { return loans.actions[0][pass].end - plain.actions[0][pass].end; };
  CHECK(delay(4) == Approx(0));
  CHECK(delay(5) == Approx(0.25));
  CHECK(delay(6) == Approx(0.5));
  // 1F1B waits for messages itself, so that its iteration is no longer.
  CHECK(loans.makespan == Approx(plain.makespan));
}

TEST_CASE("what BPipe lends comes back before it is needed") {
  const Schedule schedule = build_schedule(ScheduleKind::bpipe, shape_of(8, 24));
  // Ranks 0 to 2 of 8 would hold 8, 7 and 6; all may hold 5, so that each keeps 4 beside the
  // one that a pass runs on.
  for (std::size_t rank = 0; rank < 8; ++rank) {
    CHECK(schedule.evictions[rank].size() == (rank < 3 ? 20u : 0u));
    for (const Eviction& eviction : schedule.evictions[rank]) CHECK(eviction.returns_after == eviction.micro_batch - 4);
  }
}

TEST_CASE("lent activations leave one rank's memory for its partner's, over the link between them") {
  const Lowering loans = lowered(ScheduleKind::bpipe, 8, 24);
  const Lowering plain = lowered(ScheduleKind::one_f_one_b, 8, 24);
  std::vector<WorkTime> times(loans.works.size(), {Time::from_picoseconds(1000), Time()});
  for (std::size_t i = 0; i < times.size(); ++i) {
    if (std::holds_alternative<TransferWork>(loans.works[i])) times[i].device = Time::from_picoseconds(100);
    if (const auto* work = std::get_if<ComputeWork>(&loans.works[i]); work != nullptr && work->runs.empty())
      times[i].device = Time();
  }
  const auto timeline = std::get<Timeline>(replay(loans.graph, times, {}));
  const auto activations = [](const Lowering& lowering, const Timeline& line, std::size_t rank) {
    const MemoryPeak peak = memory_peak(lowering.graph.programs[rank], line.tasks[rank], {});
    return peak.by_category[static_cast<std::size_t>(MemoryCategory::activations)] / Bytes(1);
  };
  const std::vector<WorkTime> plain_times(plain.works.size(), {Time::from_picoseconds(1000), Time()});
  const auto plain_timeline = std::get<Timeline>(replay(plain.graph, plain_times, {}));
  // Layers of a middle rank are alike: their peaks are micro-batches and what a pass needs beside them. Rank 1 held 7
  // of them and holds 5; its partner held 2.
  const double one = activations(plain, plain_timeline, 5) - activations(plain, plain_timeline, 6);
  CHECK(activations(plain, plain_timeline, 1) - activations(loans, timeline, 1) >= 2 * one - 1);
  CHECK(activations(loans, timeline, 1) <= activations(plain, plain_timeline, 3) + 1);
  CHECK(activations(loans, timeline, 6) > activations(plain, plain_timeline, 6));
  CHECK(activations(loans, timeline, 6) <= activations(plain, plain_timeline, 3) + 1);
  // Each of the 3 x 20 loans crosses the link twice.
  int messages = 0;
  for (const Program& program : loans.graph.programs)
    for (const Task& task : program.tasks)
      if (task.stream == Stream::stages &&
          std::holds_alternative<TransferWork>(loans.works[static_cast<std::size_t>(task.work)]))
        ++messages;
  CHECK(messages == 2 * 3 * 20);
  CHECK_FALSE(find_cycle(loans.graph).has_value());
}
