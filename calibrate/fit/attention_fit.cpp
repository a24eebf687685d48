#include "calibrate/fit/attention_fit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <vector>

#include "calibrate/fit/robust.h"
#include "sim/base/error.h"

namespace echelon {
namespace {

constexpr std::size_t fewest_samples = 5;
constexpr std::size_t fewest_for_one_trial = 30;
constexpr int search_evaluations = 4000;
constexpr double prior_weight = 0.002;  // loss of a parameter one e-fold off its start: less than one sample 7 % off
constexpr std::size_t shared_parameters = 4;

double head_size(const AttentionWork& work) {
  return (work.qk_head_dim + work.v_head_dim) / 2;
}

std::vector<double> head_sizes(const std::vector<AttentionSample>& samples) {
  std::set<double> sizes;
  for (const AttentionSample& sample : samples) sizes.insert(head_size(sample.work));
  return {sizes.begin(), sizes.end()};
}

// Search parameters are logarithms of the curve's, an efficiency's logit apart.
AttentionPassCurve curve_of(std::span<const double> parameters, const std::vector<double>& sizes, double tile) {
  AttentionPassCurve curve;
  curve.tile = tile;
  curve.extra_keys = std::exp(std::clamp(parameters[0], -2.0, 8.0));
  curve.causal_keys = std::exp(std::clamp(parameters[1], -2.0, 8.0));
  curve.tail = std::exp(std::clamp(parameters[2], -7.0, 1.0));
  curve.overhead = microseconds(std::exp(std::clamp(parameters[3], -2.0, 4.0)));
  for (std::size_t i = 0; i < sizes.size(); ++i)
    curve.heads.push_back({sizes[i], std::max(1 / (1 + std::exp(-parameters[shared_parameters + i])), 1e-3)});
  return curve;
}

struct TileFit {
  AttentionPassCurve curve;
  double loss = 0;
};

TileFit fit_with_tile(const Device& device, DataType type, const std::vector<AttentionSample>& samples, double tile) {
  const std::vector<double> sizes = head_sizes(samples);
  // 64 keys of prologue, half a tile of masked keys, half of Graham's bound, 4 us.
  std::vector<double> start{std::log(64.0), std::log(64.0), std::log(0.5), std::log(4.0)};
  std::vector<double> step{0.7, 0.7, 0.7, 0.7};
  start.resize(shared_parameters + sizes.size(), 0.0);
  step.resize(start.size(), 0.5);
  const auto objective = [&](std::span<const double> parameters) {
    const AttentionPassCurve curve = curve_of(parameters, sizes, tile);
    double sum = 0;
    for (const AttentionSample& sample : samples)
      sum += huber_loss(std::log(attention_time_with(curve, device, type, sample.work, sample.pass) / sample.time));
    for (std::size_t i = 0; i < shared_parameters; ++i) sum += prior_weight * std::pow(parameters[i] - start[i], 2);
    return sum;
  };
  const Minimum found = minimise(objective, start, step, search_evaluations);
  return {curve_of(found.at, sizes, tile), found.value};
}

AttentionPassCurve fit_all_tiles(const Device& device, DataType type, const std::vector<AttentionSample>& samples) {
  TileFit best;
  for (const double tile : {128.0, 64.0, 256.0}) {
    TileFit found = fit_with_tile(device, type, samples, tile);
    if (best.curve.heads.empty() || found.loss < best.loss) best = std::move(found);
  }
  return best.curve;
}

std::string name_of_shape(const AttentionWork& work, AttentionPass pass) {
  return fmt::format("attention {}{}, {:g} x {:g} positions, {:g} heads ({:g}) of {:g}", work.causal ? "causal " : "",
                     pass == AttentionPass::forward ? "forward" : "backward", work.batch, work.queries, work.heads,
                     work.kv_heads, head_size(work));
}

std::vector<HeldOutShape> predicted(const AttentionPassCurve& curve, const Device& device, DataType type,
                                    const std::vector<AttentionSample>& samples) {
  std::vector<HeldOutShape> shapes;
  for (const AttentionSample& sample : samples)
    shapes.push_back({name_of_shape(sample.work, sample.pass), sample.time,
                      attention_time_with(curve, device, type, sample.work, sample.pass)});
  return shapes;
}

using Group = std::array<std::int64_t, 4>;
Group group_of(const AttentionWork& work) {
  return {std::llround(work.queries), std::llround(work.heads), std::llround(work.kv_heads),
          std::llround(work.qk_head_dim)};
}

// What a fit of the samples outside some groups says of those within; nothing where too little remains to fit.
template <class IsHeld>
std::vector<HeldOutShape> trial(const Device& device, DataType type, const std::vector<AttentionSample>& all,
                                IsHeld is_held) {
  std::vector<AttentionSample> kept, held;
  for (const AttentionSample& sample : all) (is_held(group_of(sample.work)) ? held : kept).push_back(sample);
  if (held.empty() || kept.size() + 1 < fewest_samples || head_sizes(kept) != head_sizes(all)) return {};
  return predicted(fit_all_tiles(device, type, kept), device, type, held);
}

std::vector<HeldOutShape> cross_validated(const Device& device, DataType type,
                                          const std::vector<AttentionSample>& all) {
  if (all.size() >= fewest_for_one_trial)
    if (auto shapes = trial(device, type, all, [](const Group& group) { return held_out(group); }); !shapes.empty())
      return shapes;
  std::set<Group> groups;
  for (const AttentionSample& sample : all) groups.insert(group_of(sample.work));
  std::vector<HeldOutShape> shapes;
  for (const Group& one : groups)
    for (HeldOutShape& shape : trial(device, type, all, [&](const Group& group) { return group == one; }))
      shapes.push_back(std::move(shape));
  return shapes;
}

}  // namespace

AttentionPassFit fit_attention_pass(const Device& device, DataType type, std::span<const AttentionSample> samples,
                                    AttentionPass pass, const std::string& source) {
  std::vector<AttentionSample> all;
  for (const AttentionSample& sample : samples)
    if (sample.pass == pass && sample.time > Seconds(0)) all.push_back(sample);
  if (all.size() < fewest_samples)
    throw InputError({source, 0, 0}, fmt::format("{} samples of attention", all.size()), "at least 5 make a curve");
  AttentionPassFit fit;
  fit.curve = fit_all_tiles(device, type, all);
  fit.held_out = cross_validated(device, type, all);
  const bool honest = !fit.held_out.empty();
  const ErrorFigures figures =
      error_figures(errors_of(honest ? fit.held_out : predicted(fit.curve, device, type, all)));
  fit.provenance = {Ground::measured,
                    source + (honest ? "" : " (errors of the fitted samples: too few to hold any out)"), figures.median,
                    figures.p95, static_cast<std::int64_t>(all.size())};
  return fit;
}

}  // namespace echelon
