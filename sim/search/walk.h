// What the methods that draw points share.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "sim/search/problem.h"

namespace echelon {

// Draws that are the same everywhere: the standard's distributions are not.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : engine_(seed) {}

  std::size_t below(std::size_t count) { return static_cast<std::size_t>(engine_() % count); }
  // Evenly from 0 to 1, 1 excluded.
  double share() { return static_cast<double>(engine_() >> 11U) * 0x1p-53; }

 private:
  std::mt19937_64 engine_;
};

inline std::int64_t random_point(const Space& space, Draw& draw) {
  return static_cast<std::int64_t>(draw.below(static_cast<std::size_t>(space.size())));
}

// Another value on one axis: half of the time the next one up or down, else any.
inline std::int64_t neighbour(const Space& space, std::int64_t point, Draw& draw) {
  auto digits = space.digits(point);
  const std::size_t axis = draw.below(digits.size());
  const std::size_t count = space.axes()[axis].values.size();
  if (count == 1) return point;
  std::size_t& digit = digits[axis];
  if (draw.share() < 0.5)
    digit = draw.below(count);
  else if (digit == 0 || (digit + 1 < count && draw.share() < 0.5))
    ++digit;
  else
    --digit;
  return space.point_of(digits);
}

}  // namespace echelon
