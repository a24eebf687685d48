#include "calibrate/fit/memory_fit.h"

#include <array>

#include "calibrate/fit/robust.h"
#include "tests/calibrate/synthetic.h"
#include "tests/catch.h"

using namespace echelon;

TEST_CASE("Bandwidth and fixed time are recovered within 2 %") {
  const Device device = synthetic_device();
  for (const std::uint64_t seed : {1, 2, 3, 4, 5}) {
    CAPTURE(seed);
    Noise noise(seed);
    std::vector<MemorySample> samples;
    for (int repeat = 0; repeat < 20; ++repeat)
      for (double size = 16e3; size < 2e9; size *= 2)
        samples.push_back(
            {Bytes(size), noise.disturb(microseconds(1.7) + Bytes(size) / (device.memory_bandwidth * 0.87))});
    const MemoryFit fit = fit_memory(device, samples, "synthetic");
    const MemoryCurve& curve = fit.curve;
    CHECK(fit.held_out.size() % 20 == 0);  // whole sizes
    CHECK_FALSE(fit.held_out.empty());
    CHECK(curve.bandwidth_fraction == Approx(0.87).epsilon(0.02));
    CHECK(curve.overhead.value() * 1e6 == Approx(1.7).epsilon(0.02));
  }
}

TEST_CASE("Published rates give their median") {
  const std::array<ByteRate, 3> rates{gigabytes_per_second(2680), gigabytes_per_second(3015),
                                      gigabytes_per_second(2847.5)};
  const MemoryCurve curve =
      memory_curve_of(synthetic_device(), rates, Seconds(0), MemoryCurve{0.5, microseconds(2), {}}, "s");
  CHECK(curve.bandwidth_fraction == Approx(0.85));  // 2847.5 / 3350
  CHECK(curve.overhead.value() == Approx(2e-6));
  CHECK(curve.provenance.p95_error == Approx(0.0556).margin(0.01));  // 2847.5 / 3015 - 1 = -5.6 %
}

TEST_CASE("Steps to a valley's bottom leave outliers aside") {
  // Log ratios of a time a + b x to 3 + 2 x, and one sample in twenty twice as long.
  const auto log_ratios = [](std::span<const double> at) {
    std::vector<double> ratios;
    for (int x = 1; x <= 40; ++x)
      ratios.push_back(std::log((std::exp(at[0]) + std::exp(at[1]) * x) / ((3 + 2 * x) * (x % 20 == 0 ? 2.0 : 1.0))));
    return ratios;
  };
  const Minimum found = refine(log_ratios, {std::log(4.0), std::log(1.5)});
  CHECK(std::exp(found.at[0]) == Approx(3).epsilon(0.1));
  CHECK(std::exp(found.at[1]) == Approx(2).epsilon(0.02));
  CHECK(refine(log_ratios, found.at).value <= found.value);
}

TEST_CASE("The minimiser finds Rosenbrock's valley floor") {
  const auto valley = [](std::span<const double> x) {
    return 100 * std::pow(x[1] - x[0] * x[0], 2) + std::pow(1 - x[0], 2);
  };
  const std::array<double, 2> step{0.5, 0.5};
  const Minimum found = minimise(valley, {-1.2, 1}, step, 2000);
  CHECK(found.at[0] == Approx(1).epsilon(1e-3));
  CHECK(found.at[1] == Approx(1).epsilon(1e-3));
}

TEST_CASE("About a fifth of the groups is held out") {
  int held = 0;
  for (std::int64_t i = 0; i < 10000; ++i) held += held_out(std::array<std::int64_t, 2>{i, 3 * i + 1});
  CHECK(held == Approx(2000).margin(200));
}
