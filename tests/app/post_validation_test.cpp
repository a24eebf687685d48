// Iterations whose stages do not wait for each other at the end (arXiv:2401.10241, section 4).
#include "sim/app/simulate.h"
#include "tests/app/scenario_text.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

Scenario pipeline(const std::string& schedule, bool validates_afterwards) {
  return testing::scenario_from_text(
      "echelon: 1\n"
      "model: {layers: 16, hidden: 4096, heads: 32, vocabulary: 32000}\n"
      "cluster: {profile: dgx-a100-80g, gpus: 8}\n"
      "workload: {sequence_length: 2048, global_batch: 32}\n"
      "strategy: {framework: megatron, pipeline_parallel: 8, schedule: " +
      schedule + ", optimizer_post_validation: " + (validates_afterwards ? "true" : "false") + "}\n");
}

double seconds(const Scenario& scenario) {
  return std::get<Result>(simulate(scenario)).iteration.value();
}

// From the first pass of a stage to the end of its optimizer's step, of the stage where that is longest.
double longest_way(const Scenario& scenario) {
  const Replayed replayed = std::get<Replayed>(replay_iteration(scenario, SteadyState::whole));
  double longest = 0;
  for (std::size_t p = 0; p < replayed.timeline.tasks.size(); ++p) {
    double first = -1;
    double last = 0;
    for (std::size_t i = 0; i < replayed.timeline.tasks[p].size(); ++i) {
      const TaskTime& time = replayed.timeline.tasks[p][i];
      if (first < 0 && replayed.lowering.graph.programs[p].tasks[i].kind == TaskKind::forward)
        first = time.start.seconds().value();
      last = std::max(last, time.end.seconds().value());
    }
    longest = std::max(longest, last - first);
  }
  return longest;
}

}  // namespace

TEST_CASE("stages that check gradients afterwards take the longest time from first pass to step") {
  for (const char* const schedule : {"1f1b", "zb_h1", "zb_h2", "zb_1p"}) {
    INFO(schedule);
    const Scenario afterwards = pipeline(schedule, true);
    CHECK(seconds(afterwards) == Approx(longest_way(afterwards)).epsilon(1e-9));
    CHECK(seconds(afterwards) <= seconds(pipeline(schedule, false)));
  }
}

TEST_CASE("a schedule without bubbles has them where its stages wait for each other's gradients") {
  const Result afterwards = std::get<Result>(simulate(pipeline("zb_h2", true)));
  const Result together = std::get<Result>(simulate(pipeline("zb_h2", false)));
  // Seven of eight stages' forward passes of 2 layers, once, of 32 micro-batches of some 3 such passes.
  const double filling = (together.iteration - afterwards.iteration) / together.iteration;
  CHECK(filling > 0.04);
  CHECK(filling < 7.0 / (3 * 32 + 7) + 0.02);
  CHECK(afterwards.bubble_fraction < together.bubble_fraction);
  CHECK(afterwards.breakdown.bubble >= Seconds(0));
}

TEST_CASE("what comes before the first pass of an iteration stays in it") {
  // Shards of weights are gathered by every stage before its first pass.
  const auto with_gather = [](bool validates_afterwards) {
    Scenario scenario = pipeline("zb_h2", validates_afterwards);
    scenario.gpus = 16;
    scenario.strategy.mesh.data = 2;
    scenario.strategy.sharding = Sharding::zero1;
    return scenario;
  };
  CHECK(seconds(with_gather(true)) < seconds(with_gather(false)));
  CHECK(seconds(with_gather(true)) >= longest_way(with_gather(true)));
}

TEST_CASE("full replay lets iterations end together") {
  const auto outcome = simulate(pipeline("zb_h2", true), Detail::totals, {ReplayKind::full});
  REQUIRE(std::holds_alternative<Infeasible>(outcome));
  CHECK(std::get<Infeasible>(outcome).reason.find("optimizer_post_validation false") != std::string::npos);
}
