// What a sweep says of a machine beside its curves: the gap between kernels, the clock that lasts, how much slower
// products are beside collectives, and the link to the host. What was not measured keeps the profile's number.
#pragma once

#include <string>
#include <vector>

#include "calibrate/sweep/sample_file.h"
#include "sim/hardware/profile.h"

namespace echelon {

// Sets them with `source` as their origin. `notes` takes in sentences what they are, and what no key of a profile
// holds: other copies, other slowdowns, what a launch takes the host. Throws nothing.
void fit_machine(Profile& profile, const SampleSet& set, const std::string& source, std::vector<std::string>& notes);

}  // namespace echelon
