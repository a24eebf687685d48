#include "strategies/local_steps.h"

#include <algorithm>

namespace echelon {

std::int64_t fragment_of(const LocalSteps& steps, std::int64_t layer, std::int64_t layers) {
  if (steps.pattern == FragmentPattern::strided) return layer % steps.fragments;
  return layer * steps.fragments / layers;
}

std::int64_t step_of(const LocalSteps& steps, std::int64_t fragment) {
  return fragment * steps.every / steps.fragments;
}

// A fragment is under way from the step after which it is sent to the one after which it is used, not included.
std::int64_t fragments_in_flight(const LocalSteps& steps) {
  std::int64_t most = 0;
  std::int64_t first = 0;  // fragments count on over the end of a round
  for (std::int64_t last = 0; last < 2 * steps.fragments; ++last) {
    const auto sent = [&](std::int64_t fragment) {
      return step_of(steps, fragment % steps.fragments) + fragment / steps.fragments * steps.every;
    };
    while (sent(first) + steps.delay <= sent(last) && first <= last) ++first;
    most = std::max(most, last - first + 1);
  }
  return most;
}

Bytes exchanged_size(OuterFormat format, Bytes gradient) {
  switch (format) {
    case OuterFormat::as_gradients:
      return gradient;
    case OuterFormat::fp32:
      return Bytes(4);
    case OuterFormat::bf16:
      return Bytes(2);
    case OuterFormat::fp8:
      return Bytes(1);
    case OuterFormat::e3m0:
      return Bytes(0.5);
  }
  return gradient;
}

}  // namespace echelon
