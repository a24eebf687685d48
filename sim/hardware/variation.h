// How the ranks of a cluster differ from the one that its profile describes, and from each other.
#pragma once

#include <cstdint>

#include "sim/base/enum_names.h"
#include "sim/base/units.h"

namespace echelon {

// Shape of the seeded jitter of a duration; each has mean 1 and the coefficient of variation asked for.
enum class JitterShape {
  lognormal,  // never below 0, with a long tail of slow tasks
  normal,     // cut off at 0
  uniform     // 1 +- sqrt(3) times the coefficient of variation, cut off at 0
};

template <>
inline constexpr auto enum_names<JitterShape> = std::to_array<EnumName<JitterShape>>({
    {JitterShape::lognormal, "lognormal"},
    {JitterShape::normal, "normal"},
    {JitterShape::uniform, "uniform"},
});

// Every task of every rank takes its time multiplied by a draw of its own.
struct Variability {
  double compute_cv = 0;  // coefficient of variation of the time in kernels, >= 0
  double link_cv = 0;     // and of the time on links
  JitterShape shape = JitterShape::lognormal;
  std::int64_t seed = 1;
  std::int64_t runs = 1;  // iterations drawn
};

// One rank that is slower than the others from some time on: a slow GPU, thermal throttling, a degraded NIC. Tasks that
// start at `from` or later take their kernels' time times `compute_factor` and their links' time times `link_factor`.
// Faults of one rank multiply.
struct RankFault {
  std::int64_t rank = 0;
  double compute_factor = 1;  // > 0; above 1 is slower
  double link_factor = 1;
  Time from;  // of the iteration
};

}  // namespace echelon
