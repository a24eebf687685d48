// What a scenario leaves to the simulator: a schedule in a file, layers on stages by predicted time or a framework's
// rule, slices of sequences by predicted time, and the least recompute that fits.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "sim/base/error.h"
#include "sim/config/scenario.h"

namespace echelon {

struct Decided {
  Scenario scenario;                 // with nothing left open
  std::vector<std::string> choices;  // what was chosen, in words
};

bool leaves_open(const Strategy& strategy);

// Infeasible: as simulate() says it of every choice. Throws InputError where a schedule's file is wrong.
std::variant<Decided, Infeasible> decide(const Scenario& scenario);

}  // namespace echelon
