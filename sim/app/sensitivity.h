// How the iteration time hangs on each number of the hardware: what to pay for and what to save on.
//
// Elasticity e = d ln T / d ln x: one per cent more of x changes the time by e per cent. It is the difference quotient
// over 2 % up and down; the swing is the time with x alone at 0.8 and 1.25 times its value. What curves achieve of a
// datasheet rate stays as it is.
#pragma once

#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "sim/base/error.h"
#include "sim/config/scenario.h"
#include "sim/report/sensitivity_output.h"

namespace echelon {

struct HardwareNumber {
  std::string_view name;
  std::string_view meaning;
  void (*scale)(Profile& profile, double factor);
};
std::span<const HardwareNumber> hardware_numbers();

// One entry for each number, the largest elasticity first; equal ones in the order of the table. Infeasible as
// simulate() says it of the scenario itself; a number whose change makes it so keeps its time.
std::variant<std::vector<Sensitivity>, Infeasible> sensitivities(const Scenario& scenario);

}  // namespace echelon
