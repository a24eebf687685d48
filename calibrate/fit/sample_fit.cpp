#include "calibrate/fit/sample_fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "calibrate/fit/machine_fit.h"
#include "calibrate/fit/robust.h"
#include "calibrate/fit/sample_tables.h"
#include "calibrate/gpu/expert_rows.h"
#include "sim/base/error.h"
#include "sim/cost/compute.h"

namespace echelon {
namespace {

constexpr double training_side = 1024;  // sides from which on a product counts as one of training
constexpr double fp32_buffer = 8;       // bytes read and written for each element of a weight gradient, in every format

std::string source_of(const SweepOrigin& origin) {
  std::string text = fmt::format("echelon calibrate on {}", origin.host.empty() ? "an unnamed host" : origin.host);
  if (!origin.date.empty()) text += ", " + origin.date;
  if (!origin.facts.driver.empty()) text += ", driver " + origin.facts.driver;
  if (!origin.facts.cublas.empty()) text += ", cuBLAS " + origin.facts.cublas;
  if (!origin.facts.cudnn.empty()) text += ", cuDNN " + origin.facts.cudnn;
  return text;
}

GemmShape shape_of(const Benchmark& benchmark) {
  return {static_cast<double>(benchmark.m), static_cast<double>(benchmark.n), static_cast<double>(benchmark.k)};
}

bool is_of_training(const GemmShape& shape) {
  return std::min({shape.m, shape.n, shape.k}) >= training_side;
}

// Times of single products in one layout over what the curve of their format says of a forward product of that size, or
// for a weight gradient of one that reads and writes an fp32 buffer.
std::map<DataType, std::vector<double>> over_forward(const Device& device, const SampleSet& set, const char* layout) {
  std::map<DataType, std::vector<double>> ratios;
  for (const Sample& sample : set.samples) {
    const Benchmark& of = sample.benchmark;
    if (of.family != "gemm" || of.variant != layout || of.batch > 1 || sample.outcome != Outcome::measured) continue;
    GemmShape shape = shape_of(of);
    if (of.variant == "weight_gradient") shape.buffer_bytes = fp32_buffer;
    for (const GemmCurve& curve : device.gemm)
      if (name_of(curve.type) == of.type && is_of_training(shape))
        ratios[curve.type].push_back(sample.time / gemm_time_with(curve, device, curve.type, shape));
  }
  std::erase_if(ratios, [](const auto& of) { return of.second.size() < fewest_of_a_factor; });
  return ratios;
}

double rounded_median(const std::vector<double>& ratios) {
  return std::round(median_of(ratios) * 1000) / 1000;
}

// A format without figures of its own has those of bf16, which every sweep measures, or else keeps what it had.
void fit_weight_gradients(Device& device, const SampleSet& set, ImportReport& report) {
  const auto ratios = over_forward(device, set, "weight_gradient");
  const auto most_used = ratios.find(DataType::bf16);
  for (GemmCurve& curve : device.gemm) {
    const auto own = ratios.find(curve.type);
    const auto found = own != ratios.end() ? own : most_used;
    if (found != ratios.end()) curve.weight_gradient_factor = rounded_median(found->second);
  }
  for (const auto& [type, own] : ratios)
    report.curves.push_back(
        {fmt::format("gemm weight gradient {}", name_of(type)), static_cast<std::int64_t>(own.size()), 0, 0, 0,
         fmt::format("takes {:.3f} times the forward product with its buffer", rounded_median(own))});
}

// What no key holds: they are priced as forward products.
void note_input_gradients(const Device& device, const SampleSet& set, std::vector<std::string>& notes) {
  for (const auto& [type, own] : over_forward(device, set, "input_gradient"))
    notes.push_back(
        fmt::format("Input gradients in {} take {:.3f} times the forward product, as which they are priced.",
                    name_of(type), rounded_median(own)));
}

void fit_experts(Device& device, const SampleSet& set, const std::string& source, ImportReport& report) {
  std::vector<GemmSample> grouped;
  for (const Sample& sample : set.samples) {
    const Benchmark& of = sample.benchmark;
    if (of.family != "grouped" || of.operation == ragged_product || of.type != name_of(DataType::bf16) ||
        of.variant == "weight_gradient" || sample.outcome != Outcome::measured)
      continue;
    grouped.push_back({shape_of(of), sample.time});
    grouped.back().shape.batch = static_cast<double>(of.batch);
  }
  for (const GemmCurve& curve : device.gemm)
    if (curve.type == DataType::bf16 && grouped.size() >= fewest_of_a_factor)
      return put_grouped(device, fit_grouped(device, curve, grouped, {}), source, report);
}

// What no key holds: `run` gives all experts of a rank as many rows.
void note_ragged_experts(const SampleSet& set, std::vector<std::string>& notes) {
  std::map<std::string, Seconds> alike;
  for (const Sample& sample : set.samples)
    if (sample.benchmark.family == "grouped" && sample.outcome == Outcome::measured)
      alike[sample.benchmark.key()] = sample.time;
  std::vector<double> ratios;
  for (const Sample& sample : set.samples) {
    if (sample.benchmark.operation != ragged_product || sample.outcome != Outcome::measured) continue;
    Benchmark of = sample.benchmark;
    of.operation = "product";
    if (const auto found = alike.find(of.key()); found != alike.end()) ratios.push_back(sample.time / found->second);
  }
  if (!ratios.empty())
    notes.push_back(
        fmt::format("Experts with none to twice the mean of rows take {:.3f} times as long as those with the "
                    "mean each, which is what they are priced as.",
                    rounded_median(ratios)));
}

void fit_streaming(Device& device, const SampleSet& set, const std::string& source, ImportReport& report) {
  const std::vector<MemorySample> samples = memory_samples(set.samples);
  if (samples.size() < 5) return;
  const MemoryFit fit = fit_memory(device, samples, source);
  device.memory_curve = fit.curve;
  const Provenance& figures = fit.curve.provenance;
  report.curves.push_back({"memory", figures.samples, static_cast<std::int64_t>(fit.held_out.size()),
                           figures.median_error, figures.p95_error, "", error_figures(errors_of(fit.held_out)).mean});
}

bool spans_nodes(const Network& network, const GroupShape& group) {
  return group.ranks > std::max(group.ranks_per_node, network.domain_gpus);
}

// Runs that the base's machine can have: no larger a node, and a network where they span several.
std::vector<MeasuredRun> possible_runs(const Network& network, const SampleSet& set, SampleFit& fit) {
  std::vector<MeasuredRun> runs = collective_runs(set.samples);
  const auto impossible = [&](const MeasuredRun& run) {
    return run.group.ranks_per_node > network.gpus_per_node ||
           (spans_nodes(network, run.group) && network.adapters == 0);
  };
  for (const MeasuredRun& run : runs)
    if (impossible(run))
      fit.report.skipped["collectives on more GPUs a node, or over more nodes, than the base profile has"] +=
          static_cast<std::int64_t>(run.times.size());
  std::erase_if(runs, impossible);
  return runs;
}

Provenance link_provenance(const Network& network, const std::vector<MeasuredRun>& runs, bool between_nodes,
                           const std::string& source, const Provenance& before) {
  std::vector<double> errors;
  for (const MeasuredRun& run : runs)
    if (spans_nodes(network, run.group) == between_nodes)
      for (const double error : link_errors(network, run)) errors.push_back(error);
  if (errors.empty()) return before;
  const ErrorFigures figures = error_figures(errors);
  return {Ground::measured, source + "; the rest: " + before.source, figures.median, figures.p95,
          static_cast<std::int64_t>(errors.size())};
}

void fit_network(Network& network, const SampleSet& set, const std::string& source, SampleFit& fit) {
  const std::vector<MeasuredRun> runs = possible_runs(network, set, fit);
  if (runs.empty()) {
    if (set.origin.facts.gpus > 1)
      fit.notes.emplace_back("No collectives were measured: links keep the base profile's numbers.");
    return;
  }
  const Provenance intra = network.intra, inter = network.inter;
  fit.links = fit_links(network, runs);
  network = fit.links->network;
  network.intra = link_provenance(network, runs, false, source, intra);
  network.inter = link_provenance(network, runs, true, source, inter);
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

// What was not measured, by reason.
void add_outcome_notes(const SampleSet& set, SampleFit& fit) {
  constexpr std::size_t most_reasons = 20;
  struct Reason {
    std::int64_t count = 0;
    std::string first;
  };
  std::map<std::pair<Outcome, std::string>, Reason> reasons;
  for (const Sample& sample : set.samples) {
    if (sample.outcome == Outcome::measured) continue;
    Reason& reason = reasons[{sample.outcome, sample.note}];
    if (reason.count++ == 0) reason.first = sample.benchmark.key();
  }
  std::size_t told = 0;
  for (const auto& [what, reason] : reasons)
    if (++told <= most_reasons)
      fit.notes.push_back(fmt::format("{} benchmarks {}; the first, {}: {}", reason.count, name_of(what.first),
                                      reason.first, what.second));
  if (told > most_reasons)
    fit.notes.push_back(fmt::format("and {} more reasons among the samples", told - most_reasons));
}

Calibration calibration_of(const SampleSet& set) {
  const DeviceFacts& facts = set.origin.facts;
  return {facts.gpu,    set.origin.host, set.origin.date, facts.driver,        facts.cuda,
          facts.cublas, facts.nccl,      facts.cudnn,     conditions_text(set)};
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
  const SustainedClock clock = device.sustained_clock;
  const KernelTables tables = kernel_tables(set.samples, device.name, source);
  fit.report.skipped = tables.skipped;
  if (!tables.products.empty() || !tables.attention.empty()) fit.profile = refit(fit.profile, tables, fit.report);
  device.sustained_clock = {};  // the samples are of short runs
  fit_weight_gradients(device, set, fit.report);
  fit_experts(device, set, source, fit.report);
  note_input_gradients(device, set, fit.notes);
  note_ragged_experts(set, fit.notes);
  fit_streaming(device, set, source, fit.report);
  device.sustained_clock = clock;
  fit_network(fit.profile.network, set, source, fit);
  if (fit.report.curves.empty() && !fit.links)
    throw InputError({file, 0, 0}, fmt::format("{} samples make no curve", set.samples.size()),
                     "30 products of one number format or 5 memory-bound kernels at least; run the sweep on");
  fit_machine(fit.profile, set, source, fit.notes);
  add_outcome_notes(set, fit);
  fit.profile.calibration = calibration_of(set);
  return fit;
}

}  // namespace echelon
