// Two hardware profiles side by side: the numbers in which they differ, and what typical work takes on each. Curves are
// compared by the times that they give: their parameters may differ and mean the same.
#pragma once

#include <string>
#include <vector>

#include "sim/base/units.h"
#include "sim/hardware/profile.h"

namespace echelon {

struct NumberDifference {
  std::string key;  // "device.datasheet.tdp_w"
  double first = 0;
  double second = 0;
};

struct TimeDifference {
  std::string what;  // "bf16 product 8192 x 8192 x 8192"
  Seconds first;
  Seconds second;
};

struct ProfileDifference {
  std::vector<NumberDifference> numbers;  // those that differ by more than the six digits of a file
  std::vector<TimeDifference> times;      // of all work that both can do, equal ones too
  bool same() const;                      // no number and no time differs
};

ProfileDifference difference_of(const Profile& first, const Profile& second);

}  // namespace echelon
