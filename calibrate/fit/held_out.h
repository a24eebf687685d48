// A measured shape beside what a fit that never saw it, nor its neighbours, says of it.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "sim/base/units.h"

namespace echelon {

struct HeldOutShape {
  std::string what;  // "bf16 8192 x 1024 x 4096"
  Seconds measured;
  Seconds predicted;

  double error() const { return predicted / measured - 1; }
  // For a list of the worst.
  std::string line() const {
    return fmt::format("furthest off, held out: {:<56} measured {:.1f} us, predicted {:.1f} us ({:+.1f} %)", what,
                       1e6 * measured.value(), 1e6 * predicted.value(), 100 * error());
  }
};

// The ten that are furthest off, the worst first.
inline std::vector<HeldOutShape> worst_of(std::vector<HeldOutShape> shapes) {
  constexpr std::size_t most = 10;
  const auto off = [](const HeldOutShape& shape) { return std::abs(std::log(shape.predicted / shape.measured)); };
  std::stable_sort(shapes.begin(), shapes.end(), [&](const auto& a, const auto& b) { return off(a) > off(b); });
  if (shapes.size() > most) shapes.resize(most);
  return shapes;
}

inline std::vector<double> errors_of(const std::vector<HeldOutShape>& shapes) {
  std::vector<double> errors;
  for (const HeldOutShape& shape : shapes) errors.push_back(shape.error());
  return errors;
}

}  // namespace echelon
