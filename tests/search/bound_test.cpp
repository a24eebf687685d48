#include "sim/app/bound.h"

#include "sim/app/simulate.h"
#include "tests/catch.h"
#include "tests/search/spaces.h"

using namespace echelon;

namespace {

struct Tightness {
  int points = 0;
  int impossible = 0;  // bounds above the time, or no room where there is some
  double share = 0;    // sum of bound over time
};

void hold_bound(const Scenario& scenario, Tightness& tightness) {
  if (!has_bound(scenario)) return;
  const auto least = bound(scenario);
  const auto outcome = simulate(scenario);
  CHECK(std::holds_alternative<Infeasible>(least) == std::holds_alternative<Infeasible>(outcome));
  if (std::holds_alternative<Infeasible>(outcome)) return;
  const Result& low = std::get<Result>(least);
  const Result& result = std::get<Result>(outcome);
  const bool fine = low.iteration <= result.iteration && low.memory.peak <= result.memory.peak * (1 + 1e-9) &&
                    low.energy <= result.energy && low.cost_usd.value_or(0) <= result.cost_usd.value_or(0) &&
                    (low.memory.fits || !result.memory.fits);
  if (!fine) {
    CAPTURE(low.iteration.value(), result.iteration.value(), low.memory.peak.value(), result.memory.peak.value(),
            name_of(scenario.strategy.schedule), scenario.strategy.mesh.pipeline, scenario.strategy.mesh.tensor,
            scenario.strategy.micro_batch, scenario.strategy.virtual_stages, name_of(scenario.strategy.sharding),
            scenario.profile.name, scenario.gpus, scenario.workload.global_batch, name_of(scenario.strategy.recompute));
    CHECK(fine);
    ++tightness.impossible;
  }
  ++tightness.points;
  tightness.share += low.iteration / result.iteration;
}

}  // namespace

TEST_CASE("no prediction is below its bound, and the bounds are near") {
  Tightness tightness;
  for (const std::string& run : test::runs)
    for (const std::string& axes : test::axes) {
      PointEvaluator evaluator(test::space_document(run + axes));
      const Space& space = evaluator.space();
      for (std::int64_t point = 0; point < space.size(); point += 3) {
        const auto digits = space.digits(point);
        if (!space.includes(digits)) continue;
        const auto scenario = evaluator.scenario(digits);
        if (const auto* there = std::get_if<const Scenario*>(&scenario)) hold_bound(**there, tightness);
      }
    }
  CHECK(tightness.impossible == 0);
  CHECK(tightness.points > 1000);
  CHECK(tightness.share / tightness.points > 0.95);
}
