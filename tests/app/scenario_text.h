// Scenarios as text whose models have their shape in place.
#pragma once

#include <string>
#include <vector>

#include "sim/config/scenario.h"

namespace echelon::testing {

inline Scenario scenario_from_text(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return scenario_from_yaml(
      with_overrides(parse_text(text, "doc"), overrides), std::string(ECHELON_SOURCE_DIR) + "/tests/app/scenario.yaml",
      [](const Value& value) -> Model { value.fail("a HuggingFace model", "expected a shape in place"); });
}

}  // namespace echelon::testing
