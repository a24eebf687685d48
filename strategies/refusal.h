// What the checks of a strategy share: a refusal, and numbers that would do.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "sim/base/error.h"

namespace echelon {

using Refusal = std::optional<Infeasible>;

template <class... Args>
Infeasible refuse(fmt::format_string<Args...> text, Args&&... args) {
  return Infeasible{fmt::format(text, std::forward<Args>(args)...)};
}

// The largest number from `wanted` down that `fits`; 1 where none does.
template <class Fits>
std::int64_t largest_below(std::int64_t wanted, const Fits& fits) {
  std::int64_t candidate = std::max<std::int64_t>(1, wanted);
  while (candidate > 1 && !fits(candidate)) --candidate;
  return candidate;
}

// The largest divisor of `whole` that is at most `wanted`.
inline std::int64_t divisor_below(std::int64_t whole, std::int64_t wanted) {
  return largest_below(std::min(whole, wanted), [whole](std::int64_t candidate) { return whole % candidate == 0; });
}

}  // namespace echelon
