#include "sim/engine/full_replay.h"

#include <numbers>

#include "sim/engine/rank_speed.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

constexpr auto ps = [](std::int64_t count) { return Time::from_picoseconds(count); };

// Appends to a graph; works are those of the tasks, in order of appearance: each has one of its own.
class GraphSource {
 public:
  explicit GraphSource(std::size_t programs) { graph.programs.resize(programs); }

  TaskReference add(std::size_t program, TaskKind kind, Stream stream, std::int64_t time,
                    const std::vector<TaskReference>& after = {}) {
    Task task;
    task.work = static_cast<WorkId>(times.size());
    task.kind = kind;
    task.stream = stream;
    const bool link = kind >= TaskKind::send_activation && kind <= TaskKind::gradient_reduce;
    times.push_back({ps(time), Time()});
    parts.push_back(link ? WorkParts{Time(), ps(time)} : WorkParts{ps(time), Time()});
    const TaskId id = graph.programs[program].append(task);
    for (const TaskReference& on : after) graph.programs[program].depend(on);
    return {static_cast<std::int32_t>(program), id};
  }

  FullTimeline run(const RankLayout& layout, const RankVariation& variation, double slowdown = 1,
                   std::int64_t number = 0) const {
    const auto plan = std::get<ReplayPlan>(plan_replay(graph, {slowdown}));
    return FullReplay(graph, plan, times, parts, layout, {slowdown}).run(variation, number);
  }

  TaskGraph graph;
  std::vector<WorkTime> times;
  std::vector<WorkParts> parts;
};

// A pipeline of `stages` with `micro_batches`, every pass of `pass` picoseconds, all forward passes first (gpipe) or
// alternating after the warm-up (1F1B); no time for messages.
GraphSource pipeline(std::size_t stages, std::size_t micro_batches, std::int64_t pass, bool one_f_one_b) {
  GraphSource source(stages);
  const auto id = [&](std::size_t stage, bool forward, std::size_t j) {
    const std::size_t warm_up = one_f_one_b ? std::min(micro_batches, stages - stage) : micro_batches;
    // The warm-up's forward passes, then B0 F(w) B1 F(w+1) ..., then the backward passes that are left.
    const std::size_t left = micro_batches - warm_up;
    if (forward) return static_cast<TaskId>(j < warm_up ? j : warm_up + 2 * (j - warm_up) + 1);
    return static_cast<TaskId>(j <= left ? warm_up + 2 * j : warm_up + left + j);
  };
  for (std::size_t stage = 0; stage < stages; ++stage)
    for (TaskId i = 0; i < static_cast<TaskId>(2 * micro_batches); ++i)
      for (std::size_t j = 0; j < micro_batches; ++j)
        for (const bool forward : {true, false}) {
          if (id(stage, forward, j) != i) continue;
          std::vector<TaskReference> after;
          const std::size_t from = forward ? stage - 1 : stage + 1;
          if (from < stages) after.push_back({static_cast<std::int32_t>(from), id(from, forward, j)});
          source.add(stage, forward ? TaskKind::forward : TaskKind::backward, Stream::compute, pass, after);
        }
  return source;
}

RankVariation slow(std::int64_t rank, double compute, double link = 1, Time from = Time()) {
  RankVariation variation;
  variation.faults.push_back({rank, compute, link, from});
  return variation;
}

}  // namespace

TEST_CASE("a slow stage sets the beat of its pipeline") {
  // Every pass takes t, those of stage s take f t. GPipe: stage s is reached after s passes, runs m of f t, and the
  // last goes on through the p - 1 - s stages after it; backward the same mirrored: 2 t (m f + p - 1).
  for (const std::size_t stages : {2U, 4U})
    for (std::size_t slow_stage = 0; slow_stage < stages; ++slow_stage) {
      const std::int64_t p = static_cast<std::int64_t>(stages);
      const auto rank = static_cast<std::int64_t>(slow_stage);
      const FullTimeline gpipe = pipeline(stages, 8, 1000, false).run({}, slow(rank, 1.5));
      CHECK(gpipe.end == ps(2 * (std::int64_t{8} * 1500 + (p - 1) * 1000)));
      REQUIRE(gpipe.pace);
      CHECK(gpipe.pace->rank == rank);
      CHECK(gpipe.pace->delay == ps(500));
      CHECK(gpipe.rank_idle[slow_stage] == ps(2 * (p - 1) * 1000));
      // 1F1B: with l = p - 1 - s stages after it, the slow stage runs F0 at s t and gets its gradient f t + 2 l t
      // later; the l further forward passes of its warm-up fit in between, as f <= 2. Then m - l - 1 pairs of 2 f t
      // without a gap, for what it sent l pairs before is back by then. The last gradient comes 2 l t after its last
      // forward pass, takes f t and goes on through s stages: 2 s t + 4 l t + 2 (m - l) f t.
      const FullTimeline one_f_one_b = pipeline(stages, 8, 1000, true).run({}, slow(rank, 1.5));
      const std::int64_t later = p - 1 - rank;
      CHECK(one_f_one_b.end == ps(2 * rank * 1000 + 4 * later * 1000 + 2 * (8 - later) * 1500));
    }
}

TEST_CASE("one slow data rank delays all at the gradient reduction") {
  // 4 replicas of 2 tensor ranks: forward 1000, backward 2000, reduction 300, optimizer 50. Rank 5 (d 2, t 1) is 20 %
  // slower: its passes end at 3600, its partner's with them; all reduce from then on, and its own step takes 60.
  GraphSource source(1);
  source.add(0, TaskKind::forward, Stream::compute, 1000);
  source.add(0, TaskKind::backward, Stream::compute, 2000);
  source.add(0, TaskKind::gradient_reduce, Stream::compute, 300);
  source.add(0, TaskKind::optimizer, Stream::compute, 50);
  const FullTimeline timeline = source.run({2, 1, 4, 1}, slow(5, 1.2));
  CHECK(timeline.end == ps(3600 + 300 + 60));
  for (std::int64_t rank = 0; rank < 8; ++rank) {
    CHECK(timeline.rank_ends[static_cast<std::size_t>(rank)] == ps(3600 + 300 + (rank == 5 ? 60 : 50)));
    CHECK(timeline.rank_idle[static_cast<std::size_t>(rank)] == ps(rank == 5 ? 0 : 3960 - 3350));
  }
  REQUIRE(timeline.pace);
  CHECK(timeline.pace->rank == 5);
  CHECK(timeline.pace->task == TaskReference{0, 1});
  CHECK(timeline.pace->delay == ps(400));
  CHECK(timeline.pace->lost == ps(200 + 400 + 10));
}

TEST_CASE("the pace is set by who lost the most in all, not by the longest single loss") {
  // Rank 0 loses 100 in each of three passes, rank 1 then 250 in the one that waits for them.
  GraphSource source(2);
  for (int pass = 0; pass < 2; ++pass) source.add(0, TaskKind::forward, Stream::compute, 1000);
  const auto last = source.add(0, TaskKind::forward, Stream::compute, 1000);
  source.add(1, TaskKind::forward, Stream::compute, 1000, {last});
  RankVariation variation = slow(0, 1.1);
  variation.faults.push_back({1, 1.25, 1, Time()});
  const FullTimeline timeline = source.run({}, variation);
  CHECK(timeline.end == ps(3300 + 1250));
  REQUIRE(timeline.pace);
  CHECK(timeline.pace->rank == 0);
  CHECK(timeline.pace->lost == ps(300));
  CHECK(timeline.pace->task == TaskReference{0, 0});
  variation.faults[1].compute_factor = 1.35;  // 350 are more than half of 650
  CHECK(source.run({}, variation).pace->rank == 1);
}

TEST_CASE("expert groups hold data ranks in lockstep, and others run on") {
  // Two passes; d 1 is slow from 900 on, d 0 shares its experts, d 2 and d 3 do not.
  GraphSource source(1);
  source.add(0, TaskKind::forward, Stream::compute, 1000);
  source.add(0, TaskKind::backward, Stream::compute, 2000);
  const FullTimeline timeline = source.run({1, 1, 4, 2}, slow(1, 2, 1, ps(900)));
  CHECK(timeline.rank_ends == std::vector<Time>{ps(5000), ps(5000), ps(3000), ps(3000)});
  CHECK(timeline.rank_idle == std::vector<Time>{ps(2000), ps(0), ps(2000), ps(2000)});
}

TEST_CASE("a slow link delays its messages at both ends and its collectives, not its compute") {
  // Stage 0 sends 100 to stage 1, which reduces 300 over 2 data ranks. Engine ranks: 0, 1 of stage 0; 2, 3 of stage 1.
  GraphSource source(2);
  const auto sent = source.add(0, TaskKind::send_activation, Stream::pipeline, 100);
  source.add(1, TaskKind::forward, Stream::compute, 1000, {sent});
  source.add(1, TaskKind::gradient_reduce, Stream::compute, 300);
  const RankLayout layout{1, 1, 2, 1};
  CHECK(source.run(layout, {}).end == ps(1400));
  CHECK(source.run(layout, slow(0, 1, 3)).end == ps(1600));  // its message alone
  CHECK(source.run(layout, slow(2, 1, 3)).end == ps(300 + 1000 + 900));
  CHECK(source.run(layout, slow(2, 1, 3)).rank_ends[1] == ps(100));
}

TEST_CASE("a barrier of all stages comes before any optimizer step") {
  GraphSource source(2);
  const auto first = source.add(0, TaskKind::backward, Stream::compute, 1000);
  const auto second = source.add(1, TaskKind::backward, Stream::compute, 500);
  source.add(0, TaskKind::optimizer, Stream::compute, 10, {second});
  source.add(1, TaskKind::optimizer, Stream::compute, 10, {first});
  // Rank 3 (stage 1, d 1) takes 1500 for its backward pass and 30 for its step; the others stepped at 1510.
  const FullTimeline timeline = source.run({1, 1, 2, 1}, slow(3, 3));
  CHECK(timeline.rank_ends == std::vector<Time>{ps(1510), ps(1510), ps(1510), ps(1530)});
}

TEST_CASE("compute beside a collective is slowed on the ranks where it runs") {
  // 1000 of compute beside a reduction of 300 at slowdown 1.5 take 1100 (replay_test.cpp). Where the other data rank
  // joins the reduction late, at 400, it still overlaps; the slow rank's 2000 lose 100, too.
  GraphSource source(1);
  const auto before = source.add(0, TaskKind::forward, Stream::compute, 200);
  source.add(0, TaskKind::backward, Stream::compute, 1000);
  source.add(0, TaskKind::gradient_reduce, Stream::data, 300, {before});
  const FullTimeline timeline = source.run({1, 1, 2, 1}, slow(1, 2), 1.5);
  CHECK(timeline.rank_ends == std::vector<Time>{ps(1300), ps(2500)});
}

TEST_CASE("the slowest of n jittered ranks follows the extreme value of n uniform draws") {
  // Expected maximum of n draws from U(0, 1): n / (n + 1). A mean of 1 and a coefficient of variation c make the draws
  // U(1 - sqrt(3) c, 1 + sqrt(3) c), so that the expectation is 1 + sqrt(3) c (n - 1) / (n + 1). The standard error of
  // the mean over the runs is below sqrt(3) c / sqrt(runs); four of them are allowed.
  constexpr double cv = 0.1;
  constexpr std::int64_t runs = 2000;
  GraphSource source(1);
  source.add(0, TaskKind::forward, Stream::compute, 1'000'000);
  for (const std::int64_t n : {1, 2, 8, 64, 512}) {
    RankVariation variation;
    variation.variability = {cv, 0, JitterShape::uniform, 3, runs};
    double sum = 0;
    for (std::int64_t run = 0; run < runs; ++run)
      sum += static_cast<double>(source.run({n, 1, 1, 1}, variation, 1, run).end.picoseconds());
    const double mean = sum / static_cast<double>(runs) / 1e6;
    const double members = static_cast<double>(n);
    const double half_width = std::numbers::sqrt3 * cv;
    CHECK(mean == Approx(1 + half_width * (members - 1) / (members + 1)).margin(4 * half_width / std::sqrt(runs)));
  }
}

TEST_CASE("every jitter has mean 1 and the coefficient of variation asked for") {
  for (const auto& shape : enum_names<JitterShape>) {
    INFO(shape.name);
    constexpr double cv = 0.2;
    constexpr std::int64_t draws = 100'000;
    RankVariation variation;
    variation.variability = {cv, 0, shape.value, 5, 1};
    const RankSpeed speed(variation, 0, draws);
    double sum = 0;
    double squares = 0;
    for (std::int64_t rank = 0; rank < draws; ++rank) {
      const Time drawn = speed.duration(ps(1'000'000), {ps(1'000'000), Time()}, 0, rank, rank, Time());
      const double factor = static_cast<double>(drawn.picoseconds()) / 1e6;
      sum += factor;
      squares += factor * factor;
    }
    const double mean = sum / draws;
    CHECK(mean == Approx(1).margin(4 * cv / std::sqrt(draws)));
    CHECK(std::sqrt(squares / draws - mean * mean) == Approx(cv).epsilon(0.02));
  }
}

TEST_CASE("a run is the same whenever it is drawn, and differs with its seed and number") {
  GraphSource source(1);
  source.add(0, TaskKind::forward, Stream::compute, 1'000'000);
  source.add(0, TaskKind::gradient_reduce, Stream::compute, 1'000'000);
  RankVariation variation;
  variation.variability = {0.1, 0.1, JitterShape::lognormal, 1, 2};
  const RankLayout layout{2, 2, 2, 1};
  const Time first = source.run(layout, variation, 1, 0).end;
  CHECK(source.run(layout, variation, 1, 1).end != first);
  CHECK(source.run(layout, variation, 1, 0).end == first);
  variation.variability.seed = 2;
  CHECK(source.run(layout, variation, 1, 0).end != first);
}

TEST_CASE("plans of tasks that wait for each other are refused") {
  GraphSource source(2);
  source.add(0, TaskKind::forward, Stream::compute, 1, {{1, 0}});
  source.add(1, TaskKind::forward, Stream::compute, 1, {{0, 0}});
  CHECK(std::holds_alternative<Deadlock>(plan_replay(source.graph, {})));
}
