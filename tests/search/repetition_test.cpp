// The steady state of a pipeline, replayed once or as often as it comes: the same prediction.
#include "sim/engine/repetition.h"

#include "sim/app/simulate.h"
#include "tests/catch.h"
#include "tests/search/spaces.h"

using namespace echelon;

namespace {

struct Tally {
  int points = 0;
  int folded = 0;  // whose steady state was found
  int early = 0;   // of those, with no second period to compare with
};

bool close(Seconds a, Seconds b, Seconds whole) {
  return std::abs((a - b).value()) <= 1e-9 * whole.value();
}

void compare(const Scenario& scenario, Tally& tally) {
  const auto one = simulate(scenario, Detail::operators);
  const auto all = simulate(scenario, Detail::operators, {ReplayKind::folded, 1, SteadyState::whole});
  REQUIRE(one.index() == all.index());
  if (std::holds_alternative<Infeasible>(one)) {
    CHECK(std::get<Infeasible>(one).reason == std::get<Infeasible>(all).reason);
    return;
  }
  ++tally.points;
  const Repetition repetition = std::get<Replayed>(replay_iteration(scenario)).repetition;
  if (repetition.times > 0) ++tally.folded;
  if (repetition.times > 0 && repetition.seen_once) ++tally.early;
  const Result& a = std::get<Result>(one);
  const Result& b = std::get<Result>(all);
  bool same = a.iteration == b.iteration && a.memory.peak == b.memory.peak &&
              a.memory.by_category == b.memory.by_category && a.critical_stage == b.critical_stage &&
              a.operators.size() == b.operators.size() && std::abs(a.executed_flops / b.executed_flops - 1) < 1e-9;
  for (const auto part : {&Breakdown::compute, &Breakdown::recompute, &Breakdown::exposed_tp, &Breakdown::exposed_pp,
                          &Breakdown::exposed_dp, &Breakdown::bubble, &Breakdown::optimizer, &Breakdown::other})
    same = same && close(a.breakdown.*part, b.breakdown.*part, b.iteration);
  for (std::size_t i = 0; same && i < a.operators.size(); ++i) same = a.operators[i].times == b.operators[i].times;
  CAPTURE(scenario.strategy.mesh.pipeline, scenario.strategy.micro_batch, scenario.strategy.virtual_stages,
          a.iteration.value(), b.iteration.value(), a.memory.peak.value(), b.memory.peak.value(), a.critical_stage,
          b.critical_stage);
  CHECK(same);
}

}  // namespace

TEST_CASE("a steady state that is replayed once gives the prediction of all micro-batches, to the picosecond") {
  Tally tally;
  for (const std::string& run : test::runs)
    for (const std::string& axes : test::axes) {
      PointEvaluator evaluator(test::space_document(run + axes));
      const Space& space = evaluator.space();
      for (std::int64_t point = 0; point < space.size(); point += 5) {
        const auto digits = space.digits(point);
        if (!space.includes(digits)) continue;
        const auto scenario = evaluator.scenario(digits);
        if (const auto* there = std::get_if<const Scenario*>(&scenario)) compare(**there, tally);
      }
    }
  CAPTURE(tally.points, tally.folded, tally.early);
  CHECK(tally.points > 500);
  CHECK(tally.folded * 4 > tally.points);
  CHECK(tally.early > 40);
}
