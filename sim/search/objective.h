// What a search looks for, as numbers of which less is better.
#pragma once

#include <string_view>
#include <vector>

#include "sim/base/enum_names.h"
#include "sim/metrics/result.h"

namespace echelon {

enum class Objective {
  time,    // seconds for a token on the whole cluster
  cost,    // money for a token
  energy,  // joules for a token, all GPUs at TDP
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

// One number, or one for each of pareto's three aims; an unknown price counts as no cost.
using Scores = std::vector<double>;
Scores scores_of(Objective objective, const Result& result);

// Whether `a` is at least as good as `b` in everything and better in something.
bool dominates(const Scores& a, const Scores& b);
// Whether `a` is at least as good as `b` in everything.
bool covers(const Scores& a, const Scores& b);

}  // namespace echelon
