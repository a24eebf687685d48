#include "calibrate/fit/gemm_fit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "calibrate/fit/correction_fit.h"
#include "calibrate/fit/robust.h"
#include "sim/base/error.h"

namespace echelon {
namespace {

// Tiles of CUTLASS's profiler that cuBLAS picks most on Ampere and later (NVIDIA "Matrix Multiplication Background").
// The narrow one is for results of a few columns, such as those of a router over experts.
constexpr std::array<std::array<double, 2>, 4> tile_sizes{{{256, 128}, {128, 128}, {64, 64}, {64, 32}}};
constexpr std::size_t parameter_count = tile_sizes.size() + 5;
constexpr std::size_t most_samples_in_search = 2500;
constexpr int search_evaluations = 3000;
constexpr double least_efficiency = 1e-3;  // of a tile that no sample calls for; a profile takes no less than 1e-6
// A cast with a scale known beforehand reads two bytes and writes one. Fitted freely the figure comes to 6-7 and the
// products that remain beat the best known rates (stas00's MAMF table); with 3 they agree with cuBLASLt's own fp8
// products in Azure's AI-benchmarking-guide (H100) within 5 % from 4096 to 32768 cubed and 13 % at 2048.
constexpr double cast_bytes_per_element = 3;
// Where searches begin, in the terms of curve_of: a fast library, a slow one, one bound by fixed costs.
constexpr std::array<std::array<double, parameter_count>, 3> starts{
    {{1.3, 1.0, 0.0, 0.0, 4.6, 0.0, -0.1, 1.1, -2.0},
     {0.4, 0.4, 0.0, 0.0, 6.0, 1.5, -0.3, 0.7, -1.0},
     {0.8, 0.0, -1.0, -1.0, 5.3, -1.0, -0.1, 2.0, -3.0}}};

double clamped_exp(double value, double least, double most) {
  return std::clamp(std::exp(value), least, most);
}
double logistic(double value) {
  return 1 / (1 + std::exp(-value));
}

// Unbounded search parameters -> a curve within its bounds.
GemmCurve curve_of(std::span<const double> parameters, DataType type) {
  GemmCurve curve;
  curve.type = type;
  for (std::size_t i = 0; i < tile_sizes.size(); ++i)
    curve.tiles.push_back({tile_sizes[i][0], tile_sizes[i][1], std::max(logistic(parameters[i]), least_efficiency)});
  const auto rest = parameters.subspan(tile_sizes.size());
  curve.extra_k = clamped_exp(rest[0], 1, 2000);
  curve.wave_quantisation = logistic(rest[1]);
  curve.bandwidth_fraction = clamped_exp(rest[2], 0.1, 3);  // above 1: operands that stay in the cache
  curve.overhead = microseconds(clamped_exp(rest[3], 0.1, 30));
  curve.unhidden_memory = logistic(rest[4]);
  return curve;
}

double log_ratio(const GemmCurve& curve, const Device& device, DataType type, const GemmSample& sample) {
  return std::log(gemm_time_with(curve, device, type, sample.shape) / sample.time);
}

// A simplex search over some samples, from several starts; then steps to the bottom of its valley with all of them.
GemmCurve fit_physical(const Device& device, DataType type, const std::vector<GemmSample>& samples) {
  const std::size_t stride = samples.size() / most_samples_in_search + 1;
  const auto objective = [&](std::span<const double> parameters) {
    const GemmCurve curve = curve_of(parameters, type);
    double sum = 0;
    for (std::size_t i = 0; i < samples.size(); i += stride)
      sum += huber_loss(log_ratio(curve, device, type, samples[i]));
    return sum;
  };
  const auto log_ratios = [&](std::span<const double> parameters) {
    const GemmCurve curve = curve_of(parameters, type);
    std::vector<double> ratios;
    ratios.reserve(samples.size());
    for (const GemmSample& sample : samples) ratios.push_back(log_ratio(curve, device, type, sample));
    return ratios;
  };
  const std::array<double, parameter_count> step{0.5, 0.5, 0.5, 0.5, 0.5, 0.7, 0.2, 0.4, 0.7};
  Minimum best;
  for (const auto& start : starts) {
    Minimum found = minimise(objective, {start.begin(), start.end()}, step, search_evaluations);
    found = refine(log_ratios, std::move(found.at));
    if (best.at.empty() || found.value < best.value) best = std::move(found);
  }
  return curve_of(best.at, type);
}

Seconds cast_time(const InputCast& cast, const Device& device, const GemmCurve& reference, const GemmShape& shape) {
  const Bytes moved(shape.m * shape.k * shape.batch * cast.bytes_per_element);
  return cast.overhead + moved / (device.memory_bandwidth * reference.bandwidth_fraction);
}

InputCast fit_cast(const Device& device, DataType type, const std::vector<GemmSample>& samples,
                   const GemmCurve& reference) {
  const std::size_t stride = samples.size() / most_samples_in_search + 1;
  const auto cast_of = [](std::span<const double> parameters) {
    const auto rest = parameters.subspan(parameter_count);
    return InputCast{microseconds(clamped_exp(rest[0], 0.1, 100)), cast_bytes_per_element};
  };
  const auto objective = [&](std::span<const double> parameters) {
    GemmCurve curve = curve_of(parameters.first(parameter_count), type);
    curve.overhead = reference.overhead;
    curve.bandwidth_fraction = reference.bandwidth_fraction;
    const InputCast cast = cast_of(parameters);
    double sum = 0;
    for (std::size_t i = 0; i < samples.size(); i += stride) {
      const GemmShape& shape = samples[i].shape;
      const Seconds predicted = gemm_time_with(curve, device, type, shape) + cast_time(cast, device, reference, shape);
      sum += huber_loss(std::log(predicted / samples[i].time));
    }
    return sum;
  };
  std::vector<double> start(starts[0].begin(), starts[0].end());
  start.push_back(std::log(5.0));
  const std::array<double, parameter_count + 1> step{0.5, 0.5, 0.5, 0.5, 0.5, 0.7, 0.2, 0.4, 0.7, 0.5};
  return cast_of(minimise(objective, start, step, 2 * search_evaluations).at);
}

// Samples less the cast; at least a third of each remains.
std::vector<GemmSample> without_cast(std::vector<GemmSample> samples, const InputCast& cast, const Device& device,
                                     const GemmCurve& reference) {
  for (GemmSample& sample : samples)
    sample.time = std::max(sample.time - cast_time(cast, device, reference, sample.shape), sample.time / 3);
  return samples;
}

GemmCurve add_correction(GemmCurve curve, const Device& device, const std::vector<GemmSample>& samples) {
  std::vector<CorrectionSample> residuals;
  residuals.reserve(samples.size());
  for (const GemmSample& sample : samples)
    residuals.push_back(
        {sample.shape.m, sample.shape.n, sample.shape.k, -log_ratio(curve, device, curve.type, sample)});
  curve.correction = fit_correction(residuals);
  return curve;
}

std::vector<HeldOutShape> predicted(const GemmCurve& curve, const Device& device,
                                    const std::vector<GemmSample>& samples, const GemmRegion& region) {
  std::vector<HeldOutShape> shapes;
  for (const GemmSample& sample : samples) {
    const GemmShape& shape = sample.shape;
    if (shape.m < region.least_m || shape.n < region.least_n || shape.k < region.least_k) continue;
    shapes.push_back({fmt::format("{} product {:g} x {:g} x {:g}", name_of(curve.type), shape.m, shape.n, shape.k),
                      sample.time, gemm_time_with(curve, device, curve.type, shape)});
  }
  return shapes;
}

bool is_held_out(const GemmShape& shape) {
  const std::array<std::int64_t, 2> group{std::llround(shape.n), std::llround(shape.k)};
  return held_out(group);
}

}  // namespace

GemmFit fit_gemm(const Device& device, DataType type, std::span<const GemmSample> samples, const std::string& source,
                 const GemmRegion& region, const GemmCurve* cast_reference) {
  std::vector<GemmSample> all, kept, held;
  for (const GemmSample& sample : samples) {
    if (!(sample.time.value() > 0)) continue;
    all.push_back(sample);
    (is_held_out(sample.shape) ? held : kept).push_back(sample);
  }
  GemmFit fit;
  if (cast_reference != nullptr) {
    fit.cast = fit_cast(device, type, kept, *cast_reference);
    for (auto* set : {&all, &kept, &held}) *set = without_cast(std::move(*set), fit.cast, device, *cast_reference);
  }
  if (all.size() < 30)
    throw InputError({source, 0, 0}, fmt::format("{} samples of {} products", all.size(), name_of(type)),
                     "at least 30 make a curve");
  const GemmCurve trial = fit_physical(device, type, kept);
  const GemmCurve corrected = add_correction(trial, device, kept);
  const auto figures = [&](const GemmCurve& curve, const GemmRegion& where) {
    return error_figures(errors_of(predicted(curve, device, held, where)));
  };
  const bool correct = figures(corrected, region).median <= figures(trial, region).median;
  const GemmCurve& chosen = correct ? corrected : trial;

  fit.curve = fit_physical(device, type, all);
  if (correct) fit.curve = add_correction(fit.curve, device, all);
  const ErrorFigures in_region = figures(chosen, region);
  const ErrorFigures everywhere = figures(chosen, GemmRegion{0, 0, 0});
  fit.curve.provenance = {Ground::measured, source, in_region.median, in_region.p95,
                          static_cast<std::int64_t>(all.size())};
  fit.median_error = everywhere.median;
  fit.p95_error = everywhere.p95;
  fit.physical_median = figures(trial, region).median;
  fit.held_out = predicted(chosen, device, held, region);
  return fit;
}

}  // namespace echelon
