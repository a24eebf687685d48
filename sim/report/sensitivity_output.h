// Sensitivities as a tornado chart for people, and for machines.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "sim/base/units.h"

namespace echelon {

// How the iteration time answers to one number (sim/app/sensitivity.h).
struct Sensitivity {
  std::string name;
  std::string meaning;
  double elasticity = 0;
  Seconds as_is;
  Seconds at_less;  // with 0.8 of the number
  Seconds at_more;  // with 1.25 times it
};

std::string sensitivities_to_text(const std::vector<Sensitivity>& sensitivities, bool color);

// [{"number", "elasticity", "time_at_0.8_s", "time_at_1.25_s"}]
nlohmann::ordered_json sensitivities_to_json(const std::vector<Sensitivity>& sensitivities);

}  // namespace echelon
