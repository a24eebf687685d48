// Random flows over random links, the same on every machine for one seed.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/engine/flow.h"

namespace echelon {

// splitmix64 (S. Vigna): the standard library's distributions differ between implementations.
class RandomNumbers {
 public:
  explicit RandomNumbers(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();
  // least <= value <= most
  std::int64_t integer(std::int64_t least, std::int64_t most);
  // 0 <= value < 1
  double fraction();

 private:
  std::uint64_t state_;
};

struct FlowSet {
  std::vector<ByteRate> capacities;
  std::vector<Flow> flows;
};

struct FlowSetShape {
  std::int64_t links = 12;
  std::int64_t flows = 30;
  std::int64_t longest_route = 5;
  bool caps = true;    // every third flow has one
  bool shares = true;  // every fourth flow is spread, with shares below 1
};

FlowSet random_flow_set(const FlowSetShape& shape, std::uint64_t seed);

}  // namespace echelon
