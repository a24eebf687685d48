// Every parameter of a curve is found again in times with 5 % noise and 3 % outliers, within 2 % or, where a parameter
// moves times too little for that, within what the noise leaves open.
#include <cmath>
#include <functional>

#include "calibrate/fit/attention_fit.h"
#include "calibrate/fit/gemm_fit.h"
#include "tests/calibrate/synthetic.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

using Parameters = std::vector<double>;
using Matrix = std::vector<Parameters>;
// Times of all samples in seconds.
using Model = std::function<std::vector<double>(const Parameters&)>;

constexpr std::uint64_t seeds = 4;
constexpr double noise = 0.05;

// By Gauss and Jordan's elimination; no pivot is 0 in a matrix J^T J of independent columns.
Matrix inverse(Matrix a) {
  const std::size_t n = a.size();
  Matrix b(n, Parameters(n, 0));
  for (std::size_t i = 0; i < n; ++i) b[i][i] = 1;
  for (std::size_t i = 0; i < n; ++i) {
    const double pivot = a[i][i];
    for (std::size_t j = 0; j < n; ++j) a[i][j] /= pivot, b[i][j] /= pivot;
    for (std::size_t row = 0; row < n; ++row) {
      if (row == i) continue;
      const double factor = a[row][i];
      for (std::size_t j = 0; j < n; ++j) a[row][j] -= factor * a[i][j], b[row][j] -= factor * b[i][j];
    }
  }
  return b;
}

// The standard errors, as shares of the parameters, that no unbiased fit is below (Cramer and Rao's bound): of times t
// whose logarithms are known within `noise`, noise sqrt(diagonal of (J^T J)^-1) with J = d log t / d log parameter.
Parameters least_errors(const Model& model, const Parameters& at) {
  constexpr double step = 1e-4;
  Matrix columns;
  for (std::size_t i = 0; i < at.size(); ++i) {
    Parameters up = at, down = at;
    up[i] *= std::exp(step);
    down[i] *= std::exp(-step);
    const std::vector<double> above = model(up), below = model(down);
    Parameters column;
    for (std::size_t s = 0; s < above.size(); ++s) column.push_back(std::log(above[s] / below[s]) / (2 * step));
    columns.push_back(std::move(column));
  }
  Matrix product(at.size(), Parameters(at.size(), 0));
  for (std::size_t i = 0; i < at.size(); ++i)
    for (std::size_t j = 0; j < at.size(); ++j)
      for (std::size_t s = 0; s < columns[i].size(); ++s) product[i][j] += columns[i][s] * columns[j][s];
  const Matrix covariance = inverse(product);
  Parameters errors;
  for (std::size_t i = 0; i < at.size(); ++i) errors.push_back(noise * std::sqrt(covariance[i][i]));
  return errors;
}

// One in 16,000 draws of a normal distribution is further off than four standard errors.
void check_recovered(const Parameters& found, const Parameters& known, const Parameters& least) {
  for (std::size_t i = 0; i < known.size(); ++i) {
    CAPTURE(i, found[i], known[i], least[i]);
    CHECK(std::abs(std::log(found[i] / known[i])) < std::max(0.02, 4 * least[i]));
  }
}

std::vector<GemmShape> products() {
  std::vector<GemmShape> shapes;
  for (const double m : {512, 1024, 2048, 4096, 8192})
    for (const double n : {64, 256, 1024, 1536, 2048, 4096, 5120, 8192, 16384})
      for (const double k : {64, 256, 1024, 1536, 2048, 4096, 5120, 8192, 16384})
        for (int repeat = 0; repeat < 3; ++repeat) shapes.push_back({m, n, k});
  return shapes;
}

GemmCurve gemm_curve_of(const Parameters& p) {
  GemmCurve curve;
  curve.tiles = {{256, 128, p[0]}, {128, 128, p[1]}, {64, 64, p[2]}};
  curve.extra_k = p[3];
  curve.wave_quantisation = p[4];
  curve.bandwidth_fraction = p[5];
  curve.unhidden_memory = p[6];
  curve.overhead = microseconds(p[7]);
  return curve;
}

Parameters parameters_of(const GemmCurve& curve) {
  return {
      curve.tiles[0].efficiency, curve.tiles[1].efficiency, curve.tiles[2].efficiency, curve.extra_k,
      curve.wave_quantisation,   curve.bandwidth_fraction,  curve.unhidden_memory,     1e6 * curve.overhead.value()};
}

std::vector<AttentionWork> attentions() {
  std::vector<AttentionWork> works;
  for (const double batch : {1, 2, 4, 8})
    for (const double positions : {512, 1024, 2048, 4096, 8192, 16384})
      for (const double heads : {8, 16, 32, 64})
        for (const double size : {64, 128})
          for (const bool causal : {true, false})
            works.push_back(
                {batch, heads, heads, positions, positions, size, size, causal ? positions / 2 : positions, causal});
  return works;
}

AttentionPassCurve attention_curve_of(const Parameters& p) {
  return {{{64, p[0]}, {128, p[1]}}, 128, p[2], p[3], p[4], microseconds(p[5])};
}

Parameters parameters_of(const AttentionPassCurve& curve) {
  return {curve.heads[0].efficiency,   curve.heads[1].efficiency, curve.extra_keys, curve.causal_keys, curve.tail,
          1e6 * curve.overhead.value()};
}

}  // namespace

TEST_CASE("Every parameter of products is found again") {
  const Device device = synthetic_device();
  const std::vector<GemmShape> shapes = products();
  const Parameters known{0.8, 0.72, 0.5, 120, 0.6, 0.8, 0.1, 3};
  const auto times = [&](const Parameters& p) {
    std::vector<double> all;
    for (const GemmShape& shape : shapes)
      all.push_back(gemm_time_with(gemm_curve_of(p), device, DataType::bf16, shape).value());
    return all;
  };
  const std::vector<double> exact = times(known);
  const Parameters least = least_errors(times, known);
  CHECK(least[0] < 0.01);  // most tell enough
  CHECK(least[7] < 0.01);
  for (std::uint64_t seed = 0; seed <= seeds; ++seed) {
    CAPTURE(seed);
    Noise disturbed(seed);
    std::vector<GemmSample> samples;
    for (std::size_t i = 0; i < shapes.size(); ++i)
      samples.push_back({shapes[i], seed == 0 ? Seconds(exact[i]) : disturbed.disturb(Seconds(exact[i]))});
    const GemmCurve found = fit_gemm(device, DataType::bf16, samples, "synthetic").curve;
    check_recovered(parameters_of(found), known, seed == 0 ? Parameters(known.size(), 0) : least);
  }
}

TEST_CASE("Every parameter of attention is found again") {
  const Device device = synthetic_device();
  const std::vector<AttentionWork> works = attentions();
  const Parameters known{0.45, 0.6, 90, 70, 0.6, 6};
  for (const AttentionPass pass : {AttentionPass::forward, AttentionPass::backward}) {
    const auto times = [&](const Parameters& p) {
      std::vector<double> all;
      for (const AttentionWork& work : works)
        all.push_back(attention_time_with(attention_curve_of(p), device, DataType::bf16, work, pass).value());
      return all;
    };
    const std::vector<double> exact = times(known);
    const Parameters least = least_errors(times, known);
    CHECK(least[0] < 0.01);
    CHECK(least[1] < 0.01);
    for (std::uint64_t seed = 0; seed <= seeds; ++seed) {
      CAPTURE(seed);
      Noise disturbed(seed);
      std::vector<AttentionSample> samples;
      for (std::size_t i = 0; i < works.size(); ++i)
        samples.push_back({works[i], pass, seed == 0 ? Seconds(exact[i]) : disturbed.disturb(Seconds(exact[i]))});
      const AttentionPassCurve found = fit_attention_pass(device, DataType::bf16, samples, pass, "synthetic").curve;
      check_recovered(parameters_of(found), known, seed == 0 ? Parameters(known.size(), 0) : least);
    }
  }
}
