// Checks of numbers on the command line that, unlike CLI::Range, let no NaN through and tell what is no integer from
// what is out of range.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdint>
#include <string>

namespace echelon {

inline CLI::Validator number_in(double low, double high) {
  const auto refusal = [low, high](const std::string& text) {
    double value = 0;
    const bool inside = CLI::detail::lexical_cast(text, value) && value >= low && value <= high;
    return inside ? std::string() : fmt::format("Value {} not in range {:g} to {:g}", text, low, high);
  };
  return {refusal, fmt::format("FLOAT in [{:g} - {:g}]", low, high)};
}

inline CLI::Validator integer_in(std::int64_t low, std::int64_t high) {
  const auto refusal = [low, high](const std::string& text) {
    std::int64_t value = 0;
    if (!CLI::detail::lexical_cast(text, value))
      return fmt::format("Value {} is no integer from {} to {} in digits", text, low, high);
    const bool inside = value >= low && value <= high;
    return inside ? std::string() : fmt::format("Value {} not in range {} to {}", text, low, high);
  };
  return {refusal, fmt::format("INT in [{} - {}]", low, high)};
}

inline CLI::Validator positive_number() {
  const auto refusal = [](const std::string& text) {
    double value = 0;
    const bool inside = CLI::detail::lexical_cast(text, value) && value > 0 && std::isfinite(value);
    return inside ? std::string() : fmt::format("Value {} is no number above 0", text);
  };
  return {refusal, "above 0"};
}

}  // namespace echelon
