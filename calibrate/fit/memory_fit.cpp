#include "calibrate/fit/memory_fit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "calibrate/fit/robust.h"
#include "sim/base/error.h"

namespace echelon {
namespace {

constexpr int search_evaluations = 900;

Seconds predicted(const MemoryCurve& curve, const Device& device, const MemorySample& sample) {
  return curve.overhead + sample.moved / (device.memory_bandwidth * curve.bandwidth_fraction);
}

MemoryCurve fitted(const Device& device, const std::vector<MemorySample>& samples) {
  const auto curve_of = [](std::span<const double> parameters) {
    MemoryCurve curve;
    curve.bandwidth_fraction = std::exp(std::clamp(parameters[0], -4.6, 0.0));
    curve.overhead = microseconds(std::exp(std::clamp(parameters[1], -4.0, 5.0)));
    return curve;
  };
  const auto objective = [&](std::span<const double> parameters) {
    const MemoryCurve curve = curve_of(parameters);
    double sum = 0;
    for (const MemorySample& sample : samples)
      sum += huber_loss(std::log(predicted(curve, device, sample) / sample.time));
    return sum;
  };
  const std::array<double, 2> step{0.2, 0.5};
  return curve_of(minimise(objective, {std::log(0.8), std::log(2.0)}, step, search_evaluations).at);
}

}  // namespace

MemoryFit fit_memory(const Device& device, std::span<const MemorySample> samples, const std::string& source) {
  if (samples.size() < 5)
    throw InputError({source, 0, 0}, fmt::format("{} samples of streaming kernels", samples.size()),
                     "at least 5 make a curve");
  std::vector<MemorySample> all(samples.begin(), samples.end()), kept, held;
  for (const MemorySample& sample : samples) {
    const std::array<std::int64_t, 1> group{std::llround(sample.moved.value())};
    (held_out(group) ? held : kept).push_back(sample);
  }
  const bool honest = kept.size() >= 4 && !held.empty();
  MemoryFit fit;
  fit.curve = fitted(device, all);
  const MemoryCurve trial = honest ? fitted(device, kept) : fit.curve;
  std::vector<HeldOutShape> shapes;
  for (const MemorySample& sample : honest ? held : all)
    shapes.push_back({fmt::format("memory-bound kernel of {:.4g} MB", sample.moved.value() / 1e6), sample.time,
                      predicted(trial, device, sample)});
  const ErrorFigures figures = error_figures(errors_of(shapes));
  fit.curve.provenance = {Ground::measured, source, figures.median, figures.p95, static_cast<std::int64_t>(all.size())};
  if (honest) fit.held_out = std::move(shapes);
  return fit;
}

MemoryCurve memory_curve_of(const Device& device, std::span<const ByteRate> rates, Seconds overhead,
                            const MemoryCurve& fallback, const std::string& source) {
  std::vector<double> fractions, errors;
  for (const ByteRate rate : rates) fractions.push_back(rate / device.memory_bandwidth);
  MemoryCurve curve = fallback;
  if (!fractions.empty()) curve.bandwidth_fraction = std::min(median_of(fractions), 1.0);
  for (const double fraction : fractions) errors.push_back(curve.bandwidth_fraction / fraction - 1);
  if (overhead > Seconds(0)) curve.overhead = overhead;
  const ErrorFigures figures = error_figures(errors);
  curve.provenance = {Ground::measured, source, figures.median, figures.p95,
                      static_cast<std::int64_t>(fractions.size())};
  return curve;
}

}  // namespace echelon
