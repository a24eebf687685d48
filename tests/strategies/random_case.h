// Random models, workloads and strategies with a fixed seed: most can be lowered, some cannot.
#pragma once

#include <random>

#include "strategies/lower.h"

namespace echelon::testing {

struct Case {
  Model model;
  Workload workload;
  Strategy strategy;
  Placement placement;
};

// The same sequence of cases for the same seed.
class CaseSource {
 public:
  explicit CaseSource(std::uint64_t seed) : random_(seed) {}

  Case next();

 private:
  template <class T>
  T one_of(std::initializer_list<T> values) {
    return *(values.begin() + random_() % values.size());
  }
  bool chance(unsigned percent) { return random_() % 100 < percent; }

  Model model();
  Mesh mesh(const Model& model);
  Strategy strategy(const Model& model);

  std::mt19937_64 random_;
};

// "dp 2 tp 4 ... zero3 recompute full": to say which case failed.
std::string describe(const Case& one);

}  // namespace echelon::testing
