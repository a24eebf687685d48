// Which hardware profile a row of a truth table ran on.
#pragma once

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "sim/base/error.h"
#include "sim/hardware/profile.h"
#include "sim/interop/truth_table.h"

namespace echelon {

// Finds a profile by name; null where there is none. The profile must outlive what is made of it.
using ProfileSource = std::function<const Profile*(const std::string& name)>;

// The profile of the row's GPU and interconnect, by a table; a variant that is not there gives way to its base, which
// `assumptions` then says. Infeasible where no profile fits.
std::variant<const Profile*, Infeasible> profile_of(const TruthRow& row, const ProfileSource& profiles,
                                                    std::vector<std::string>& assumptions);

}  // namespace echelon
