// The files that the predictions of a space come from: hardware profiles with those that they are based on, models,
// schedules.
#pragma once

#include <vector>

#include "sim/dataset/manifest.h"

namespace echelon {

// Each once, in the order of kind and name. Throws InputError where one is not there.
std::vector<DatasetInput> inputs_of(const SpaceDocument& document, const Space& space);

}  // namespace echelon
