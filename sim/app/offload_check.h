// What a strategy that offloads asks of the node's host.
#pragma once

#include <optional>

#include "sim/base/error.h"
#include "sim/config/scenario.h"

namespace echelon {

// GPUs of the job on one node: they share its host.
double host_sharers(const Scenario& scenario);

// Names the key of the profile's `host:` section that the strategy needs and the profile lacks.
std::optional<Infeasible> check_host(const Scenario& scenario);

}  // namespace echelon
