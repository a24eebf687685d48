#include "sim/search/objective.h"

#include "sim/app/whole_run.h"

namespace echelon {

namespace {

constexpr double joules_per_kwh = 3.6e6;

// For one token.
struct Spent {
  double seconds = 0;
  double dollars = 0;  // 0 = not known
  double joules = 0;
};

Spent spent(const Result& result) {
  return {result.iteration.value() / result.tokens, result.cost_usd.value_or(0) / result.tokens,
          result.energy.value() / result.tokens};
}

Spent spent(const Forecast& run) {
  return {run.wall.value() / run.tokens, money_of(run).value_or(0) / run.tokens,
          run.energy_kwh * joules_per_kwh / run.tokens};
}

Scores scores_of(Objective objective, const Spent& spent, Bytes peak) {
  switch (objective) {
    case Objective::time:
      return {spent.seconds};
    case Objective::cost:
      return {spent.dollars};
    case Objective::energy:
      return {spent.joules};
    case Objective::memory:
      return {peak.value()};
    case Objective::pareto:
      break;
  }
  return {spent.seconds, spent.dollars, peak.value()};
}

}  // namespace

Scores scores_of(Objective objective, const Result& result) {
  return scores_of(objective, spent(result), result.memory.peak);
}

Valuation valuation(Objective objective, const RunLimits& limits, const Scenario& scenario, const Result& result) {
  Valuation value;
  value.run = whole_run(scenario, result, limits.tokens);
  const Spent token = value.run ? spent(*value.run) : spent(result);
  value.scores = scores_of(objective, token, result.memory.peak);
  if (value.run) value.broken = broken_limit(limits, *value.run);
  if (!value.broken && objective == Objective::cost && token.dollars == 0) value.broken = no_price();
  return value;
}

bool covers(const Scores& a, const Scores& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] > b[i]) return false;
  return true;
}

bool dominates(const Scores& a, const Scores& b) {
  return covers(a, b) && a != b;
}

}  // namespace echelon
