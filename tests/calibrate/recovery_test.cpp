// Every parameter of a curve is found again from what a sweep takes: the plan's shapes, each run as often as the device
// layer would, every run with 5 % noise and 3 % of them outliers.
//
// The thorough sweep finds all of them within 2 %. The standard one does but for those that noise leaves open: what
// compute does not hide of memory's time, 0.1 of it here, moves no product by more than 9 %, so that 2 % of it are 0.2
// % of some times, and no unbiased fit of that sweep knows it within 2 %. It is held to four of its least standard
// errors.
#include <cmath>
#include <functional>

#include "calibrate/fit/attention_fit.h"
#include "calibrate/fit/gemm_fit.h"
#include "calibrate/gpu/attention_variant.h"
#include "calibrate/sweep/plan.h"
#include "calibrate/sweep/sample.h"
#include "tests/calibrate/synthetic.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

using Parameters = std::vector<double>;
using Matrix = std::vector<Parameters>;
// Times of all samples in seconds.
using Model = std::function<std::vector<double>(const Parameters&)>;

constexpr double noise = 0.05;
constexpr double wanted = 0.02;

DeviceFacts facts() {
  DeviceFacts facts;
  facts.gpus = 1;
  return facts;
}

// Runs of one benchmark as calibrate/gpu/cuda/timing.cu times them: at least 400 us each, in blocks with one in front.
int runs_of(Seconds time, const Effort& effort) {
  const double run = std::max(400e-6, time.value());
  double spent = 0;
  int runs = 0;
  while (runs < effort.most_runs && spent <= effort.seconds) {
    runs += effort.least_runs;
    spent += run * (effort.least_runs + 1);
  }
  return runs;
}

// What a sweep makes of a benchmark that takes `time`.
Seconds swept(const Benchmark& benchmark, Seconds time, const Effort& effort, Noise& disturbed) {
  Reading reading;
  for (int run = runs_of(time, effort); run > 0; --run)
    reading.microseconds.push_back(1e6 * disturbed.disturb(time).value());
  return summarise(benchmark, reading).time;
}

// The standard error of the logarithm of a median of normal values is sqrt(pi / 2) times that of their mean.
double error_of_median(Seconds time, const Effort& effort) {
  return noise * std::sqrt(1.5708 / runs_of(time, effort));
}

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
// whose logarithms have the standard error s, sqrt(diagonal of (J^T S^-2 J)^-1) with J = d log t / d log parameter.
Parameters least_errors(const Model& model, const Parameters& at, const Effort& effort) {
  constexpr double step = 1e-4;
  const std::vector<double> here = model(at);
  Matrix columns;
  for (std::size_t i = 0; i < at.size(); ++i) {
    Parameters up = at, down = at;
    up[i] *= std::exp(step);
    down[i] *= std::exp(-step);
    const std::vector<double> above = model(up), below = model(down);
    Parameters column;
    for (std::size_t s = 0; s < above.size(); ++s)
      column.push_back(std::log(above[s] / below[s]) / (2 * step * error_of_median(Seconds(here[s]), effort)));
    columns.push_back(std::move(column));
  }
  Matrix product(at.size(), Parameters(at.size(), 0));
  for (std::size_t i = 0; i < at.size(); ++i)
    for (std::size_t j = 0; j < at.size(); ++j)
      for (std::size_t s = 0; s < columns[i].size(); ++s) product[i][j] += columns[i][s] * columns[j][s];
  const Matrix covariance = inverse(product);
  Parameters errors;
  for (std::size_t i = 0; i < at.size(); ++i) errors.push_back(std::sqrt(covariance[i][i]));
  return errors;
}

void check_recovered(const Parameters& found, const Parameters& known, const Parameters& allowed) {
  for (std::size_t i = 0; i < known.size(); ++i) {
    CAPTURE(i, found[i], known[i]);
    CHECK(std::abs(std::log(found[i] / known[i])) < allowed[i]);
  }
}

std::vector<Benchmark> products(Scope scope) {
  std::vector<Benchmark> all = make_plan(scope, {"gemm"}, facts());
  std::erase_if(all, [](const Benchmark& of) {
    return of.family != "gemm" || of.type != "bf16" || of.variant != "forward" || of.batch > 1;
  });
  return all;
}

GemmShape shape_of(const Benchmark& of) {
  return {static_cast<double>(of.m), static_cast<double>(of.n), static_cast<double>(of.k)};
}

GemmCurve gemm_curve_of(const Parameters& p) {
  GemmCurve curve;
  curve.tiles = {{256, 128, p[0]}, {128, 128, p[1]}, {64, 64, p[2]}, {64, 32, p[3]}};
  curve.extra_k = p[4];
  curve.wave_quantisation = p[5];
  curve.bandwidth_fraction = p[6];
  curve.unhidden_memory = p[7];
  curve.overhead = microseconds(p[8]);
  return curve;
}

Parameters parameters_of(const GemmCurve& curve) {
  return {curve.tiles[0].efficiency,
          curve.tiles[1].efficiency,
          curve.tiles[2].efficiency,
          curve.tiles[3].efficiency,
          curve.extra_k,
          curve.wave_quantisation,
          curve.bandwidth_fraction,
          curve.unhidden_memory,
          1e6 * curve.overhead.value()};
}

std::vector<Benchmark> attentions(Scope scope, bool backward) {
  std::vector<Benchmark> all = make_plan(scope, {"attention"}, facts());
  std::erase_if(all, [&](const Benchmark& of) {
    return of.operation != "fused" || of.type != "bf16" || attention_variant(of.variant).backward != backward;
  });
  return all;
}

AttentionWork work_of(const Benchmark& of) {
  const bool causal = attention_variant(of.variant).causal;
  const auto positions = static_cast<double>(of.m), size = static_cast<double>(of.k);
  return {static_cast<double>(of.batch),
          static_cast<double>(of.heads),
          static_cast<double>(of.kv_heads),
          positions,
          positions,
          size,
          size,
          causal ? positions / 2 : positions,
          causal};
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
  const Parameters known{0.8, 0.72, 0.5, 0.4, 120, 0.6, 0.8, 0.1, 3};
  constexpr std::size_t unhidden = 7;
  for (const Scope scope : {Scope::standard, Scope::thorough}) {
    const std::vector<Benchmark> plan = products(scope);
    const Effort effort = effort_of(scope);
    const auto times = [&](const Parameters& p) {
      std::vector<double> all;
      for (const Benchmark& of : plan)
        all.push_back(gemm_time_with(gemm_curve_of(p), device, DataType::bf16, shape_of(of)).value());
      return all;
    };
    const std::vector<double> exact = times(known);
    const Parameters least = least_errors(times, known, effort);
    Parameters allowed(known.size(), wanted);
    if (scope == Scope::standard) {
      CHECK(least[unhidden] > wanted);  // else it should be found within 2 % as well
      allowed[unhidden] = 4 * least[unhidden];
    }
    for (std::uint64_t seed = 1; seed <= (scope == Scope::standard ? 3U : 1U); ++seed) {
      CAPTURE(scope, seed);
      Noise disturbed(seed);
      std::vector<GemmSample> samples;
      for (std::size_t i = 0; i < plan.size(); ++i)
        samples.push_back({shape_of(plan[i]), swept(plan[i], Seconds(exact[i]), effort, disturbed)});
      check_recovered(parameters_of(fit_gemm(device, DataType::bf16, samples, "synthetic").curve), known, allowed);
    }
  }
}

TEST_CASE("Every parameter of attention is found again") {
  const Device device = synthetic_device();
  const Parameters known{0.45, 0.6, 90, 70, 0.6, 6};
  for (const Scope scope : {Scope::standard, Scope::thorough})
    for (const AttentionPass pass : {AttentionPass::forward, AttentionPass::backward}) {
      const std::vector<Benchmark> plan = attentions(scope, pass == AttentionPass::backward);
      const Effort effort = effort_of(scope);
      const auto times = [&](const Parameters& p) {
        std::vector<double> all;
        for (const Benchmark& of : plan)
          all.push_back(attention_time_with(attention_curve_of(p), device, DataType::bf16, work_of(of), pass).value());
        return all;
      };
      const std::vector<double> exact = times(known);
      const Parameters least = least_errors(times, known, effort);
      Parameters allowed(known.size(), wanted);
      for (const std::size_t keys : {2U, 3U})
        if (scope == Scope::standard) {
          CHECK(least[keys] > wanted);
          allowed[keys] = 4 * least[keys];
        }
      for (std::uint64_t seed = 1; seed <= 2; ++seed) {
        CAPTURE(scope, pass, seed);
        Noise disturbed(seed);
        std::vector<AttentionSample> samples;
        for (std::size_t i = 0; i < plan.size(); ++i)
          samples.push_back({work_of(plan[i]), pass, swept(plan[i], Seconds(exact[i]), effort, disturbed)});
        const AttentionPassCurve found = fit_attention_pass(device, DataType::bf16, samples, pass, "synthetic").curve;
        check_recovered(parameters_of(found), known, allowed);
      }
    }
}
