// Small pipelines, lowered and replayed, against pictures drawn by hand from the papers.
//
// One cell a unit of time: F, B (full backward), I (input gradient), W (weight gradient) and the micro-batch; lower
// case for the second chunk of a rank; >> a send that occupies the rank; -- idle. A pass that takes two units has two
// cells. Derivation, everywhere the same: a rank runs its list in order; F(stage, j) waits for F(stage - 1, j), B or
// I(stage, j) for B or I(stage + 1, j), each later by the time of a message where it takes any.
#include <fmt/format.h>

#include "tests/catch.h"
#include "tests/strategies/lowered.h"

using namespace echelon;

namespace {

constexpr std::int64_t unit = 1000;  // picoseconds

// Units that each kind of task takes.
struct Units {
  std::int64_t forward = 1;
  std::int64_t backward = 2;
  std::int64_t input_gradient = 1;
  std::int64_t weight_gradient = 1;
  std::int64_t message = 0;
};

std::int64_t units_of(TaskKind kind, const Units& units) {
  switch (kind) {
    case TaskKind::forward:
      return units.forward;
    case TaskKind::backward:
      return units.backward;
    case TaskKind::input_gradient:
      return units.input_gradient;
    case TaskKind::weight_gradient:
      return units.weight_gradient;
    case TaskKind::send_activation:
    case TaskKind::send_gradient:
      return units.message;
    default:
      return 0;  // the optimizer and what belongs to it
  }
}

std::string cell(const Task& task) {
  const char* const letters = task.chunk == 0 ? "FBIW" : "fbiw";
  switch (task.kind) {
    case TaskKind::forward:
    case TaskKind::backward:
    case TaskKind::input_gradient:
    case TaskKind::weight_gradient:
      return fmt::format("{}{}", letters[static_cast<std::size_t>(task.kind)], task.micro_batch);
    default:
      return ">>";
  }
}

std::string draw(const Program& program, const std::vector<TaskTime>& times) {
  std::string line;
  std::int64_t now = 0;
  const auto fill = [&](std::int64_t until, const std::string& text) {
    for (; now < until; ++now) line += (line.empty() ? "" : " ") + text;
  };
  for (std::size_t i = 0; i < program.tasks.size(); ++i) {
    if (program.tasks[i].stream != Stream::compute || times[i].start == times[i].end) continue;
    fill(times[i].start.picoseconds() / unit, "--");
    fill(times[i].end.picoseconds() / unit, cell(program.tasks[i]));
  }
  return line;
}

using Picture = std::vector<std::string>;  // a line a rank, to the end of its last pass

Picture picture(Strategy strategy, std::int64_t micro_batches, const Units& units) {
  Workload workload;
  workload.sequence_length = 32;
  workload.global_batch = micro_batches;
  const Model model = testing::tiny_gpt(strategy.mesh.pipeline * strategy.virtual_stages);
  const auto lowered = lower(model, workload, strategy, {strategy.mesh.pipeline, 8});
  REQUIRE(std::holds_alternative<Lowering>(lowered));
  const auto& lowering = std::get<Lowering>(lowered);
  std::vector<WorkTime> times(lowering.works.size());
  for (const Program& program : lowering.graph.programs)
    for (const Task& task : program.tasks)
      times[static_cast<std::size_t>(task.work)].device = Time::from_picoseconds(units_of(task.kind, units) * unit);
  const auto timeline = std::get<Timeline>(replay(lowering.graph, times, {}));
  Picture lines;
  for (std::size_t p = 0; p < lowering.graph.programs.size(); ++p)
    lines.push_back(draw(lowering.graph.programs[p], timeline.tasks[p]));
  return lines;
}

Strategy pipeline_of(std::int64_t ranks, ScheduleKind schedule, std::int64_t chunks = 1) {
  Strategy strategy;
  strategy.mesh.pipeline = ranks;
  strategy.schedule = schedule;
  strategy.virtual_stages = chunks;
  return strategy;
}

}  // namespace

TEST_CASE("GPipe's timeline") {
  // arXiv:1811.06965, figure 2c, with B = 2 F and the backward passes in the order of the forward ones, as PyTorch runs
  // them. The last rank's forwards end at p - 1 + m = 6; 6 + 4 x 2 = 14 ends its backwards, 2 later each rank before:
  // (m + p - 1)(F + B) = 18.
  CHECK(picture(pipeline_of(3, ScheduleKind::gpipe), 4, {}) ==
        Picture{"F0 F1 F2 F3 -- -- -- -- -- -- B0 B0 B1 B1 B2 B2 B3 B3",
                "-- F0 F1 F2 F3 -- -- -- B0 B0 B1 B1 B2 B2 B3 B3", "-- -- F0 F1 F2 F3 B0 B0 B1 B1 B2 B2 B3 B3"});
}

TEST_CASE("1F1B's timeline") {
  // arXiv:2104.04473, figure 4 (top): p = 4, m = 8, backward twice the forward; PipeDream-Flush, arXiv:2006.09503.
  // Rank r warms up with p - 1 - r forwards. The last rank never waits: F0 at 3, then F and B in turn, every 3 units;
  // B0 reaches rank 0 at 10. End: (m + p - 1)(F + B) = 33.
  CHECK(picture(pipeline_of(4, ScheduleKind::one_f_one_b), 8, {}) ==
        Picture{"F0 F1 F2 F3 -- -- -- -- -- -- B0 B0 F4 B1 B1 F5 B2 B2 F6 B3 B3 F7 B4 B4 -- B5 B5 -- B6 B6 -- B7 B7",
                "-- F0 F1 F2 -- -- -- -- B0 B0 F3 B1 B1 F4 B2 B2 F5 B3 B3 F6 B4 B4 F7 B5 B5 -- B6 B6 -- B7 B7",
                "-- -- F0 F1 -- -- B0 B0 F2 B1 B1 F3 B2 B2 F4 B3 B3 F5 B4 B4 F6 B5 B5 F7 B6 B6 -- B7 B7",
                "-- -- -- F0 B0 B0 F1 B1 B1 F2 B2 B2 F3 B3 B3 F4 B4 B4 F5 B5 B5 F6 B6 B6 F7 B7 B7"});
}

TEST_CASE("1F1B's timeline with messages that take a unit") {
  // p = 2, m = 4. Beside compute: F0 reaches rank 1 at 2, its B0 ends at 5 and reaches rank 0 at 6.
  Strategy strategy = pipeline_of(2, ScheduleKind::one_f_one_b);
  const Units units{1, 2, 1, 1, 1};
  strategy.overlap_pipeline = true;
  CHECK(picture(strategy, 4, units) == Picture{"F0 F1 -- -- -- -- B0 B0 F2 B1 B1 F3 -- -- B2 B2 -- B3 B3",
                                               "-- -- F0 B0 B0 F1 B1 B1 -- -- F2 B2 B2 F3 B3 B3"});
  // On the compute stream, as Megatron sends by default: every send keeps its rank from the next pass.
  strategy.overlap_pipeline = false;
  CHECK(picture(strategy, 4, units) == Picture{"F0 >> F1 >> -- -- B0 B0 F2 >> B1 B1 F3 >> B2 B2 -- -- B3 B3",
                                               "-- -- F0 B0 B0 >> F1 B1 B1 >> F2 B2 B2 >> F3 B3 B3 >>"});
}

TEST_CASE("interleaved 1F1B's timeline") {
  // arXiv:2104.04473, section 2.2: p = 2, m = 4, v = 2; a unit is a chunk's forward. Stages: F on rank 0, F on rank 1,
  // f on rank 0, f on rank 1. Micro-batches go in groups of p through chunk 0, then chunk 1; rank r warms up with
  // (v - 1) p + 2 (p - 1 - r) chunks: 4 and 2. End: m v (F + B) + (p - 1)(F + B) = 24 + 3.
  CHECK(picture(pipeline_of(2, ScheduleKind::interleaved, 2), 4, {}) ==
        Picture{"F0 F1 f0 f1 F2 -- b0 b0 F3 b1 b1 f2 B0 B0 f3 B1 B1 -- b2 b2 -- b3 b3 B2 B2 B3 B3",
                "-- F0 F1 f0 b0 b0 f1 b1 b1 F2 B0 B0 F3 B1 B1 f2 b2 b2 f3 b3 b3 B2 B2 B3 B3"});
}

TEST_CASE("ZB-H1's timeline") {
  // arXiv:2401.10241, figure 2: p = 4, m = 8, F = I = W. Rank r runs F(x), I(x - (3 - r)), W(x - 3) for x = 0, 1, ...
  // Bubble (p - 1)(F + I - W) = 3: every rank ends at 27, rank r starts at r.
  CHECK(picture(pipeline_of(4, ScheduleKind::zb_h1), 8, {}) ==
        Picture{"F0 F1 F2 F3 -- -- -- I0 W0 F4 I1 W1 F5 I2 W2 F6 I3 W3 F7 I4 W4 I5 W5 I6 W6 I7 W7",
                "-- F0 F1 F2 -- -- I0 F3 I1 W0 F4 I2 W1 F5 I3 W2 F6 I4 W3 F7 I5 W4 I6 W5 I7 W6 W7",
                "-- -- F0 F1 -- I0 F2 I1 F3 I2 W0 F4 I3 W1 F5 I4 W2 F6 I5 W3 F7 I6 W4 I7 W5 W6 W7",
                "-- -- -- F0 I0 F1 I1 F2 I2 F3 I3 W0 F4 I4 W1 F5 I5 W2 F6 I6 W3 F7 I7 W4 W5 W6 W7"});
}

TEST_CASE("ZB-H2's timeline") {
  // arXiv:2401.10241, figure 3: rank r runs F(x), I(x - 2 (3 - r)), W(x - 6). No rank waits once it has started: each
  // is busy 24 units and ends at 24 + r. (The paper's optimizer steps follow at once, without a wait for all ranks; the
  // lowering's wait for the gradient norm, as frameworks run it without post-validation.)
  CHECK(picture(pipeline_of(4, ScheduleKind::zb_h2), 8, {}) ==
        Picture{"F0 F1 F2 F3 F4 F5 F6 I0 W0 F7 I1 W1 I2 W2 I3 W3 I4 W4 I5 W5 I6 W6 I7 W7",
                "-- F0 F1 F2 F3 F4 I0 F5 I1 F6 I2 W0 F7 I3 W1 I4 W2 I5 W3 I6 W4 I7 W5 W6 W7",
                "-- -- F0 F1 F2 I0 F3 I1 F4 I2 F5 I3 F6 I4 W0 F7 I5 W1 I6 W2 I7 W3 W4 W5 W6 W7",
                "-- -- -- F0 I0 F1 I1 F2 I2 F3 I3 F4 I4 F5 I5 F6 I6 W0 F7 I7 W1 W2 W3 W4 W5 W6 W7"});
}
