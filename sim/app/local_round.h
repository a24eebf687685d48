// The mean iteration of groups that train apart and meet every so many steps (LocalSteps).
#pragma once

#include <variant>

#include "sim/app/simulate.h"

namespace echelon {

// Whether the iterations of a scenario are not all alike.
bool trains_apart(const Scenario& scenario);

// As simulate(), which calls it where trains_apart(): time and breakdown are the mean over a round, of iterations that
// do not synchronise and one for each fragment that does; memory is that of the fullest. Exchanges that run behind
// iterations slow neither their compute nor other traffic.
std::variant<Result, Infeasible> simulate_round(const Scenario& scenario, Detail detail, const ReplayChoice& choice);

}  // namespace echelon
