#include "calibrate/fit/sample_fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "calibrate/fit/robust.h"
#include "calibrate/fit/sample_tables.h"
#include "sim/base/error.h"
#include "sim/cost/compute.h"

namespace echelon {
namespace {

constexpr double training_side = 1024;  // sides from which on a product counts as one of training
constexpr std::size_t most_worst = 10;

std::string source_of(const SweepOrigin& origin) {
  std::string text = fmt::format("echelon calibrate on {}", origin.host.empty() ? "an unnamed host" : origin.host);
  if (!origin.date.empty()) text += ", " + origin.date;
  if (!origin.facts.driver.empty()) text += ", driver " + origin.facts.driver;
  if (!origin.facts.cublas.empty()) text += ", cuBLAS " + origin.facts.cublas;
  return text;
}

GemmShape shape_of(const Benchmark& benchmark) {
  return {static_cast<double>(benchmark.m), static_cast<double>(benchmark.n), static_cast<double>(benchmark.k)};
}

// Time of a measured product without a batch over what its curve says of a forward one; 0 for other samples.
double over_forward(const Device& device, const Sample& sample) {
  const auto type = from_name<DataType>(sample.benchmark.type);
  if (sample.benchmark.family != "gemm" || sample.outcome != Outcome::measured || sample.benchmark.batch > 1 || !type)
    return 0;
  const auto has_type = [&](const GemmCurve& curve) { return curve.type == *type; };
  const auto curve = std::find_if(device.gemm.begin(), device.gemm.end(), has_type);
  return curve == device.gemm.end() ? 0
                                    : sample.time / gemm_time_with(*curve, device, *type, shape_of(sample.benchmark));
}

// The median over weight gradients of training size; the curve sees the same shape as a forward product. Formats that
// were not measured so take the factor of those that were; with too few in all, the base's stays.
void fit_weight_gradients(Device& device, const Device& base, const SampleSet& set, ImportReport& report) {
  std::vector<double> ratios;
  for (const Sample& sample : set.samples) {
    const double ratio = over_forward(device, sample);
    const GemmShape shape = shape_of(sample.benchmark);
    if (ratio > 0 && sample.benchmark.variant == "weight_gradient" &&
        std::min({shape.m, shape.n, shape.k}) >= training_side)
      ratios.push_back(ratio);
  }
  const bool enough = ratios.size() >= 5;
  const double before = base.gemm.empty() ? 1 : base.gemm.front().weight_gradient_factor;
  const double factor = enough ? std::round(median_of(ratios) * 1000) / 1000 : before;
  for (GemmCurve& curve : device.gemm) curve.weight_gradient_factor = factor;
  if (!enough) return;
  report.curves.push_back({"gemm weight gradient", static_cast<std::int64_t>(ratios.size()), 0, 0, 0,
                           fmt::format("takes {:.3f} times the forward product", factor)});
}

void fit_streaming(Device& device, const SampleSet& set, const std::string& source, ImportReport& report) {
  const std::vector<MemorySample> samples = memory_samples(set.samples);
  if (samples.size() < 5) return;
  device.memory_curve = fit_memory(device, samples, source);
  const Provenance& figures = device.memory_curve->provenance;
  report.curves.push_back({"memory", figures.samples, 0, figures.median_error, figures.p95_error, ""});
}

// The clock that lasts: what a short run of the same product takes over what a long one does.
void fit_behaviour(Device& device, const SampleSet& set, const std::string& source, SampleFit& fit) {
  std::string told;
  if (const Seconds gap = median_time(set.samples, "launch", "stream"); gap > Seconds(0)) {
    device.kernel_gap = gap;
    told += "kernel gap";
  }
  for (const Sample& sample : set.samples) {
    if (sample.benchmark.family != "sustained" || sample.outcome != Outcome::measured) continue;
    for (const Sample& other : set.samples) {
      const Benchmark& b = other.benchmark;
      if (b.family != "gemm" || other.outcome != Outcome::measured || b.type != sample.benchmark.type || b.batch > 1 ||
          b.variant != "forward" || b.m != sample.benchmark.m || b.n != b.m || b.k != b.m)
        continue;
      device.sustained_clock = std::clamp(other.time / sample.time, 0.1, 1.0);
      told += told.empty() ? "sustained clock" : " and sustained clock";
      fit.notes.push_back(
          fmt::format("A long {} product keeps {:.3f} of a short one's rate.", b.type, device.sustained_clock));
    }
  }
  if (!told.empty())
    device.behaviour_source = fmt::format("{}: {}; the rest: {}", told, source, device.behaviour_source);
}

void fit_network(Network& network, const SampleSet& set, const std::string& source, SampleFit& fit) {
  const std::vector<MeasuredRun> runs = collective_runs(set.samples);
  if (runs.empty()) {
    fit.notes.emplace_back(set.origin.facts.gpus == 1
                               ? "One GPU: links between GPUs were not measured and keep the base profile's numbers."
                               : "No collectives were measured: links keep the base profile's numbers.");
    return;
  }
  fit.links = fit_links(network, runs);
  network = fit.links->network;
  std::vector<double> errors;
  for (const MeasuredRun& run : runs)
    for (const double error : link_errors(network, run)) errors.push_back(error);
  const ErrorFigures figures = error_figures(errors);
  network.intra = {Ground::measured, source + "; the rest: " + network.intra.source, figures.median, figures.p95,
                   static_cast<std::int64_t>(errors.size())};
}

std::vector<WorstShape> worst_shapes(const Device& device, const SampleSet& set) {
  std::vector<WorstShape> all;
  for (const Sample& sample : set.samples) {
    const Benchmark& b = sample.benchmark;
    const double ratio = over_forward(device, sample);
    if (ratio <= 0 || b.variant != "forward" || static_cast<double>(std::min({b.m, b.n, b.k})) < training_side)
      continue;
    all.push_back({fmt::format("{} forward {} x {} x {}", b.type, b.m, b.n, b.k), sample.time, sample.time / ratio});
  }
  const auto off = [](const WorstShape& shape) { return std::abs(std::log(shape.predicted / shape.measured)); };
  std::stable_sort(all.begin(), all.end(), [&](const auto& a, const auto& b) { return off(a) > off(b); });
  if (all.size() > most_worst) all.resize(most_worst);
  return all;
}

// Clocks, power and temperature while products ran, and how the reference product drifted.
std::string conditions_text(const SampleSet& set) {
  std::vector<double> clocks, references;
  double watts = 0, celsius = 0, memory = 0;
  for (const Sample& sample : set.samples) {
    if (sample.outcome != Outcome::measured) continue;
    if (sample.conditions.sm_mhz > 0) clocks.push_back(sample.conditions.sm_mhz);
    memory = std::max(memory, sample.conditions.memory_mhz);
    watts = std::max(watts, sample.conditions.watts);
    celsius = std::max(celsius, sample.conditions.celsius);
    if (sample.benchmark.family == "reference") references.push_back(sample.time.value());
  }
  std::string text = "not known";
  if (!clocks.empty()) {
    const auto [least, most] = std::minmax_element(clocks.begin(), clocks.end());
    text = fmt::format("SM {:.0f} to {:.0f} MHz, median {:.0f}; memory {:.0f} MHz; at most {:.0f} W and {:.0f} C",
                       *least, *most, median_of(clocks), memory, watts, celsius);
  }
  if (references.size() > 1) {
    const auto [least, most] = std::minmax_element(references.begin(), references.end());
    text += fmt::format("; the reference product's time drifted by {:.1f} %", 100 * (*most / *least - 1));
  }
  return text;
}

void add_copy_notes(const SampleSet& set, SampleFit& fit) {
  constexpr double large = 128 << 20;  // bytes from which on a copy shows its bandwidth
  for (const char* operation : {"host_to_device", "device_to_host", "both_ways", "to_peer"})
    for (const char* variant : {"pinned", "pageable", ""}) {
      std::vector<double> rates;
      for (const Sample& sample : set.samples) {
        const Benchmark& b = sample.benchmark;
        if (b.family == "copy" && b.operation == operation && b.variant == variant &&
            sample.outcome == Outcome::measured && static_cast<double>(b.bytes) >= large)
          rates.push_back(static_cast<double>(b.bytes) / sample.time.value() / 1e9);
      }
      if (!rates.empty())
        fit.notes.push_back(fmt::format("Copies {}{}{}: {:.1f} GB/s{}.", operation, *variant != 0 ? ", " : "", variant,
                                        median_of(rates), operation == std::string("both_ways") ? " each way" : ""));
    }
}

void add_overlap_notes(const SampleSet& set, SampleFit& fit) {
  const Seconds alone = median_time(set.samples, "overlap", "product_alone");
  if (!(alone > Seconds(0))) return;
  for (const char* beside : {"product_beside_device_copy", "product_beside_host_copy"})
    if (const Seconds time = median_time(set.samples, "overlap", beside); time > Seconds(0))
      fit.notes.push_back(fmt::format("{} takes {:.3f} times as long as alone.", beside, time / alone));
}

void add_outcome_notes(const SampleSet& set, SampleFit& fit) {
  for (const auto& entry : enum_names<Outcome>) {
    if (entry.value == Outcome::measured) continue;
    const auto same = [&](const Sample& sample) { return sample.outcome == entry.value; };
    const auto first = std::find_if(set.samples.begin(), set.samples.end(), same);
    if (first == set.samples.end()) continue;
    fit.notes.push_back(fmt::format("{} benchmarks {}; the first, {}: {}",
                                    std::count_if(set.samples.begin(), set.samples.end(), same), entry.name,
                                    first->benchmark.key(), first->note));
  }
}

Calibration calibration_of(const SampleSet& set) {
  const DeviceFacts& facts = set.origin.facts;
  return {facts.gpu,  set.origin.host, set.origin.date, facts.driver,
          facts.cuda, facts.cublas,    facts.nccl,      conditions_text(set)};
}

void refuse_other_chip(const Profile& base, const SweepOrigin& origin, const std::string& file) {
  const std::string here = chip_of(origin.facts.gpu), there = chip_of(base.device.name);
  if (!here.empty() && !there.empty() && here != there)
    throw InputError({file, 1, 1},
                     fmt::format("samples of '{}', but '{}' is of '{}'", origin.facts.gpu, base.name, base.device.name),
                     "expected --profile of a machine with that chip");
}

}  // namespace

SampleFit fit_samples(const Profile& base, const SampleSet& set, const std::string& file) {
  refuse_other_chip(base, set.origin, file);
  const std::string source = source_of(set.origin);
  SampleFit fit;
  fit.profile = base;
  Device& device = fit.profile.device;
  if (set.origin.facts.memory_bytes > 0) device.memory = Bytes(static_cast<double>(set.origin.facts.memory_bytes));
  if (set.origin.facts.multiprocessors > 0) device.multiprocessors = set.origin.facts.multiprocessors;
  const double clock = device.sustained_clock;
  const KernelTables tables = product_tables(set.samples, device.name, source);
  fit.report.skipped = tables.skipped;
  if (!tables.products.empty()) fit.profile = refit(fit.profile, tables, fit.report);
  device.sustained_clock = 1;  // the samples are of short runs
  fit_weight_gradients(device, base.device, set, fit.report);
  fit_streaming(device, set, source, fit.report);
  fit.worst = worst_shapes(device, set);
  device.sustained_clock = clock;
  fit_behaviour(device, set, source, fit);
  if (fit.report.curves.empty())
    throw InputError({file, 0, 0}, fmt::format("{} samples make no curve", set.samples.size()),
                     "30 products of one number format or 5 memory-bound kernels at least; run the sweep on");
  fit_network(fit.profile.network, set, source, fit);
  add_copy_notes(set, fit);
  add_overlap_notes(set, fit);
  add_outcome_notes(set, fit);
  fit.profile.calibration = calibration_of(set);
  return fit;
}

}  // namespace echelon
