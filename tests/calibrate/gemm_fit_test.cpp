#include "calibrate/fit/gemm_fit.h"

#include "calibrate/fit/correction_fit.h"
#include "calibrate/fit/robust.h"
#include "sim/base/error.h"
#include "tests/calibrate/synthetic.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

GemmCurve known_curve() {
  GemmCurve curve;
  curve.tiles = {{256, 128, 0.8}, {128, 128, 0.72}, {64, 64, 0.5}, {64, 32, 0.4}};
  curve.extra_k = 120;
  curve.wave_quantisation = 0.6;
  curve.bandwidth_fraction = 0.8;
  curve.unhidden_memory = 0.1;
  curve.overhead = microseconds(3);
  return curve;
}

std::vector<GemmSample> samples_of(const GemmCurve& curve) {
  const Device device = synthetic_device();
  Noise noise;
  std::vector<GemmSample> samples;
  for (const double m : {512, 1024, 2048, 4096, 8192})
    for (const double n : {64, 256, 1024, 1536, 2048, 4096, 5120, 8192, 16384})
      for (const double k : {64, 256, 1024, 1536, 2048, 4096, 5120, 8192, 16384})
        for (int repeat = 0; repeat < 3; ++repeat)
          samples.push_back({{m, n, k}, noise.disturb(gemm_time_with(curve, device, DataType::bf16, {m, n, k}))});
  return samples;
}

}  // namespace

TEST_CASE("A product's times are recovered within 2 % from noisy samples with outliers") {
  const Device device = synthetic_device();
  const GemmCurve known = known_curve();
  const GemmFit fit = fit_gemm(device, DataType::bf16, samples_of(known), "synthetic");
  std::vector<double> errors;
  for (const double m : {1024, 3000, 4096})
    for (const double n : {1024, 3072, 6000, 12288})
      for (const double k : {1024, 3072, 7168}) {
        const GemmShape shape{m, n, k};
        errors.push_back(gemm_time_with(fit.curve, device, DataType::bf16, shape) /
                             gemm_time_with(known, device, DataType::bf16, shape) -
                         1);
      }
  CHECK(error_figures(errors).median < 0.02);
  // What is held out carries the noise: the median of |N(0, 5 %)| is 3.4 %.
  CHECK(fit.curve.provenance.median_error == Approx(0.034).margin(0.01));
  CHECK(fit.curve.provenance.samples == 5 * 81 * 3);
  CHECK(fit.curve.provenance.ground == Ground::measured);
}

TEST_CASE("A curve stays within what a profile takes, however far samples are from the datasheet") {
  const Device device = synthetic_device();
  std::vector<GemmSample> samples = samples_of(known_curve());
  for (GemmSample& sample : samples) sample.time = sample.time / 20;
  for (const GemmTile& tile : fit_gemm(device, DataType::bf16, samples, "synthetic").curve.tiles) {
    CHECK(tile.efficiency >= 1e-3);
    CHECK(tile.efficiency <= 1);
  }
}

TEST_CASE("A cast that the samples include is taken off") {
  const Device device = synthetic_device();
  const GemmCurve known = known_curve();
  std::vector<GemmSample> samples = samples_of(known);
  for (GemmSample& sample : samples)  // 9 us, and 3 B an element at 0.8 of 3350 GB/s
    sample.time += microseconds(9) + Bytes(3 * sample.shape.m * sample.shape.k) / (device.memory_bandwidth * 0.8);
  const GemmFit fit = fit_gemm(device, DataType::bf16, samples, "synthetic", {}, &known);
  CHECK(fit.cast.overhead.value() * 1e6 == Approx(9).epsilon(0.05));
  const GemmShape shape{4096, 4096, 4096};
  CHECK(gemm_time_with(fit.curve, device, DataType::bf16, shape) /
            gemm_time_with(known, device, DataType::bf16, shape) ==
        Approx(1).epsilon(0.03));
}

TEST_CASE("A correction's knot that no sample touches takes on what its neighbours say") {
  std::vector<CorrectionSample> samples;
  for (const double m : {512, 1024, 2048, 4096})
    for (const double k : {512, 1024, 2048, 4096})
      for (int repeat = 0; repeat < 5; ++repeat)
        if (m < 4096 || k < 4096) samples.push_back({m, 1024, k, std::log(1.3)});
  const GemmCorrection grid = fit_correction(samples);
  CHECK(correction_factor(grid, 1024, 1024, 1024) == Approx(1.3).epsilon(0.005));
  // Two neighbours an octave away pull with 0.2 each, 1 with 0.05.
  CHECK(correction_factor(grid, 4096, 1024, 4096) == Approx(std::pow(1.3, 0.4 / 0.45)).epsilon(0.005));
}

TEST_CASE("The fit does not depend on the order of the samples held out") {
  std::vector<GemmSample> samples = samples_of(known_curve());
  const double forward = fit_gemm(synthetic_device(), DataType::bf16, samples, "s").curve.provenance.median_error;
  const double again = fit_gemm(synthetic_device(), DataType::bf16, samples, "s").curve.provenance.median_error;
  CHECK(forward == again);
}

TEST_CASE("Too few products are refused") {
  std::vector<GemmSample> samples = samples_of(known_curve());
  samples.resize(29);
  CHECK_THROWS_AS(fit_gemm(synthetic_device(), DataType::bf16, samples, "few.csv"), InputError);
}
