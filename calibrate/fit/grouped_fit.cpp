#include "calibrate/fit/grouped_fit.h"

#include <cmath>

#include "calibrate/fit/robust.h"

namespace echelon {
namespace {

// Time over that of as many products as the curve has, one after another.
double ratio_of(const Device& device, const GemmCurve& curve, const GemmSample& sample) {
  GemmShape one = sample.shape;
  one.batch = 1;
  return sample.time / (gemm_time_with(curve, device, curve.type, one) * sample.shape.batch);
}

std::vector<double> ratios_of(const Device& device, const GemmCurve& curve, std::span<const GemmSample> samples) {
  std::vector<double> ratios;
  for (const GemmSample& sample : samples) ratios.push_back(ratio_of(device, curve, sample));
  return ratios;
}

// By bisection: a faster clock makes every ratio larger, or leaves it.
double clock_of(Device device, const GemmCurve& curve, std::span<const GemmSample> plain) {
  if (plain.empty()) return 1;
  double slow = 0.1, fast = 2;
  for (int step = 0; step < 40; ++step) {
    const double clock = (slow + fast) / 2;
    device.sustained_clock = {clock};
    (median_of(ratios_of(device, curve, plain)) > 1 ? fast : slow) = clock;
  }
  return std::round(500 * (slow + fast)) / 1000;
}

bool same_shape(const GemmShape& one, const GemmShape& other) {
  return one.m == other.m && one.n == other.n && one.k == other.k && one.batch == other.batch;
}

HeldOutShape foretold(const GemmCurve& curve, std::span<const GemmSample> grouped, const std::vector<double>& ratios,
                      std::size_t at) {
  const GemmShape& shape = grouped[at].shape;
  std::vector<double> others;
  for (std::size_t i = 0; i < grouped.size(); ++i)
    if (!same_shape(grouped[i].shape, shape)) others.push_back(ratios[i]);
  return {fmt::format("{} {:g} experts' products {:g} x {:g} x {:g}", name_of(curve.type), shape.batch, shape.m,
                      shape.n, shape.k),
          grouped[at].time, grouped[at].time / ratios[at] * median_of(others)};
}

}  // namespace

GroupedFit fit_grouped(Device device, const GemmCurve& curve, std::span<const GemmSample> grouped,
                       std::span<const GemmSample> plain) {
  GroupedFit fit;
  if (grouped.empty()) return fit;
  fit.clock = clock_of(device, curve, plain);
  device.sustained_clock = {fit.clock};
  const std::vector<double> ratios = ratios_of(device, curve, grouped);
  fit.factor = std::round(median_of(ratios) * 1000) / 1000;
  for (std::size_t i = 0; i < grouped.size(); ++i) fit.held_out.push_back(foretold(curve, grouped, ratios, i));
  return fit;
}

}  // namespace echelon
