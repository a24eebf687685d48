// From the prediction of one iteration to that of the whole run.
#pragma once

#include <optional>

#include "sim/config/scenario.h"
#include "sim/metrics/forecast.h"
#include "sim/metrics/result.h"

namespace echelon {

// The scenario's training_run, of `tokens` where they are given; nothing where neither says how many tokens it has.
std::optional<Forecast> whole_run(const Scenario& scenario, const Result& result, double tokens = 0);

// An hour of one GPU of a machine as the scenario's training_run pays for it, else at the profile's rent. 0 = not
// known.
double hourly_price(const Scenario& scenario, const Profile& machine);

}  // namespace echelon
