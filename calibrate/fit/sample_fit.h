// A profile and samples of `echelon calibrate` -> the profile with everything fitted that the samples tell: product
// and attention curves, weight gradients, experts, memory curve, links, and what machine_fit.h sets. What they do not
// tell keeps the profile's values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "calibrate/fit/link_fit.h"
#include "calibrate/fit/refit.h"
#include "calibrate/sweep/sample_file.h"
#include "sim/hardware/profile.h"

namespace echelon {

struct SampleFit {
  Profile profile;
  ImportReport report;
  std::optional<LinkFit> links;    // where collectives were measured
  std::vector<std::string> notes;  // what the samples say beside the profile, in sentences
};

// `base` gives datasheet rates. Throws InputError naming `file` where the samples are of another chip than the base,
// and where nothing can be fitted to them.
SampleFit fit_samples(const Profile& base, const SampleSet& set, const std::string& file);

}  // namespace echelon
