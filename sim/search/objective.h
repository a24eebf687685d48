// What a search looks for, as numbers of which less is better.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "sim/base/enum_names.h"
#include "sim/config/scenario.h"
#include "sim/metrics/forecast.h"
#include "sim/metrics/limit_check.h"
#include "sim/metrics/result.h"

namespace echelon {

enum class Objective {
  time,    // seconds for a token on the whole cluster; of a whole run, failures included
  cost,    // money for a token
  energy,  // joules for a token, all GPUs at TDP; of a whole run, as its training_run says
  memory,  // peak of the fullest rank
  pareto   // all that is not beaten in time, cost and memory together
};

template <>
inline constexpr auto enum_names<Objective> = std::to_array<EnumName<Objective>>({
    {Objective::time, "time"},
    {Objective::cost, "cost"},
    {Objective::energy, "energy"},
    {Objective::memory, "memory"},
    {Objective::pareto, "pareto"},
});

// One number, or one for each of pareto's three aims, where an unknown price counts as no cost.
using Scores = std::vector<double>;
Scores scores_of(Objective objective, const Result& result);

// What a prediction is worth to who pays for the run.
struct Valuation {
  Scores scores;
  std::optional<Forecast> run;        // where it is known how many tokens it has
  std::optional<BrokenLimit> broken;  // why it does not count: a limit, or a price that is not known where cost counts
};
Valuation valuation(Objective objective, const RunLimits& limits, const Scenario& scenario, const Result& result);

// Whether `a` is at least as good as `b` in everything and better in something.
bool dominates(const Scores& a, const Scores& b);
// Whether `a` is at least as good as `b` in everything.
bool covers(const Scores& a, const Scores& b);

}  // namespace echelon
