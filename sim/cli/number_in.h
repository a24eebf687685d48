// A check of numbers on the command line that, unlike CLI::Range, lets no NaN through.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
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

}  // namespace echelon
