// A device and curves with known parameters, and measurements of them with 5 % noise and 3 % outliers.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "sim/cost/compute.h"

namespace echelon {

inline Device synthetic_device() {
  Device device;
  device.multiprocessors = 132;
  device.memory_bandwidth = gigabytes_per_second(3350);
  device.peak[static_cast<std::size_t>(DataType::bf16)] = teraflops(989);
  return device;
}

// Normal noise of 5 %; one sample in 33 takes two to five times as long.
class Noise {
 public:
  explicit Noise(std::uint64_t seed = 7) : random_(seed) {}
  Seconds disturb(Seconds time) {
    const double factor = std::exp(0.05 * normal_(random_));
    const bool outlier = uniform_(random_) < 0.03;
    return time * factor * (outlier ? 2 + 3 * uniform_(random_) : 1);
  }

 private:
  std::mt19937_64 random_;
  std::normal_distribution<double> normal_{0, 1};
  std::uniform_real_distribution<double> uniform_{0, 1};
};

}  // namespace echelon
