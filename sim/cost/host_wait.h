// What a device loses where its host waits for it once in every layer, so that no launch is ahead of its kernel by more
// than a layer.
//
// From one wait to the next: the device has run all that was launched. The host issues the steps one after the other,
// each for its host time; a step starts when the one before has ended and its issue has begun, and ends no earlier than
// its issue does. The next wait is over when the last step has ended, in the same place of the next layer.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "sim/base/units.h"
#include "sim/graph/layer_program.h"

namespace echelon {

// One step of a layer's pass.
struct LaunchedStep {
  Seconds device;
  Seconds host;
};

// Of a layer among layers like it, the time in which the device runs nothing. `first`: the step that follows the wait,
// at most the number of steps.
Seconds idle_between_waits(const std::vector<LaunchedStep>& steps, std::size_t first);

// The permutation of the tokens of routed experts, behind which the next step is launched once they are counted.
std::optional<std::size_t> counted_step(const LayerProgram& program);

}  // namespace echelon
