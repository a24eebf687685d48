#include "sim/search/objective.h"

namespace echelon {

Scores scores_of(Objective objective, const Result& result) {
  const double seconds = result.iteration.value() / result.tokens;
  const double dollars = result.cost_usd.value_or(0) / result.tokens;
  const double bytes = result.memory.peak.value();
  switch (objective) {
    case Objective::time:
      return {seconds};
    case Objective::cost:
      return {dollars};
    case Objective::energy:
      return {result.energy.value() / result.tokens};
    case Objective::memory:
      return {bytes};
    case Objective::pareto:
      break;
  }
  return {seconds, dollars, bytes};
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
