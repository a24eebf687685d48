#include "tests/engine/random_flows.h"

#include <algorithm>

namespace echelon {

std::uint64_t RandomNumbers::next() {
  state_ += 0x9e3779b97f4a7c15U;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31U);
}

std::int64_t RandomNumbers::integer(std::int64_t least, std::int64_t most) {
  return least + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(most - least + 1));
}

double RandomNumbers::fraction() {
  return static_cast<double>(next() >> 11U) * 0x1p-53;
}

FlowSet random_flow_set(const FlowSetShape& shape, std::uint64_t seed) {
  RandomNumbers random(seed);
  FlowSet set;
  for (std::int64_t l = 0; l < shape.links; ++l)
    set.capacities.push_back(gigabytes_per_second(static_cast<double>(random.integer(1, 100))));
  for (std::int64_t f = 0; f < shape.flows; ++f) {
    Flow flow;
    flow.start = Time::from_picoseconds(random.integer(0, 20) * 1'000'000'000);
    flow.bytes = Bytes(static_cast<double>(random.integer(1, 1'000'000'000)));
    flow.latency = Time::from_picoseconds(random.integer(0, 5) * 1'000'000);
    const bool spread = shape.shares && f % 4 == 0;
    for (std::int64_t hops = random.integer(1, shape.longest_route); hops > 0; --hops) {
      const auto link = static_cast<LinkId>(random.integer(0, shape.links - 1));
      const bool there =
          std::any_of(flow.route.begin(), flow.route.end(), [&](const Hop& hop) { return hop.link == link; });
      if (!there) flow.route.push_back({link, spread ? 0.25 + 0.5 * random.fraction() : 1});
    }
    if (shape.caps && f % 3 == 0) flow.cap = gigabytes_per_second(1 + 20 * random.fraction());
    set.flows.push_back(std::move(flow));
  }
  return set;
}

}  // namespace echelon
