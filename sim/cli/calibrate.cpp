#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "calibrate/fit/sample_fit.h"
#include "calibrate/gpu/open_device.h"
#include "calibrate/sweep/plan.h"
#include "calibrate/sweep/sweep.h"
#include "sim/cli/command.h"
#include "sim/cli/number_in.h"
#include "sim/config/data_dir.h"
#include "sim/config/profile_config.h"
#include "sim/interop/kernel_tables.h"

namespace echelon {

namespace {

struct CalibrateOptions {
  bool quick = false;
  bool thorough = false;
  bool json = false;
  double minutes = 0;  // 0 = the scope's own
  std::vector<std::string> only;
  std::string profile;
  std::string output;
  std::string raw;
  std::string fit_only;

  Scope scope() const { return quick ? Scope::quick : thorough ? Scope::thorough : Scope::standard; }
};

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 16> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d", &utc);
  return text.data();
}

// The shipped profile of this GPU: of those whose device is the same product the one with the most curves measured on
// it, then the one with the shortest name.
std::string shipped_profile_of(const std::string& gpu, const std::string& file) {
  std::string best;
  std::int64_t most = -1;
  for (const std::string& name : data_names(DataKind::profile)) {
    const Profile profile = load_profile(data_file(DataKind::profile, name, {"profiles"}));
    if (!same_product(gpu, profile.device.name)) continue;
    const auto measured = [](const GemmCurve& curve) { return curve.provenance.ground == Ground::measured; };
    const std::int64_t curves = std::count_if(profile.device.gemm.begin(), profile.device.gemm.end(), measured);
    if (curves > most || (curves == most && name.size() < best.size())) best = name;
    most = std::max(most, curves);
  }
  if (best.empty())
    throw InputError({file, 0, 0}, fmt::format("no shipped profile is of '{}'", gpu),
                     "--profile NAME of one with its datasheet rates (CONTRIBUTING.md, \"How to add a GPU\")");
  return best;
}

Profile base_profile(const CalibrateOptions& options, const std::string& gpu, const std::string& file) {
  const std::string name = options.profile.empty() ? shipped_profile_of(gpu, file) : options.profile;
  return load_profile(data_file(DataKind::profile, name, {"--profile"}));
}

std::string minutes_text(Seconds time) {
  const auto seconds = static_cast<std::int64_t>(std::max(time.value(), 0.0));
  return fmt::format("{}:{:02}", seconds / 60, seconds % 60);
}

// One line that is written over on a terminal; only trouble is told where standard error goes to a file.
void show_progress(const SweepProgress& progress) {
  const Sample& last = *progress.last;
  const bool terminal = isatty(STDERR_FILENO) != 0;
  if (last.outcome == Outcome::failed || last.outcome == Outcome::lost)
    fmt::print(stderr, "{}{} {}: {}\n", terminal ? "\r\033[K" : "", last.benchmark.key(), name_of(last.outcome),
               last.note);
  if (!terminal) return;
  fmt::print(stderr, "\r\033[K{}/{}  {} left  {:.50}  {:.1f} us", progress.done, progress.total,
             minutes_text(progress.remaining), last.benchmark.key(), 1e6 * last.time.value());
  std::fflush(stderr);
}

// Measures and gives the samples; a lost device and a used-up budget are told.
SampleSet measure(const CalibrateOptions& options, DeviceLayer& device) {
  const DeviceFacts facts = device.facts();
  const std::vector<Benchmark> plan = make_plan(options.scope(), options.only, facts);
  const double minutes = options.minutes > 0 ? options.minutes : budget_minutes(options.scope());
  SampleJournal journal(options.raw, {facts, host_name(), today()});
  fmt::print(stderr, "{}, {} GPUs here; {} benchmarks within {:g} minutes -> {}\n", facts.gpu, facts.gpus, plan.size(),
             minutes, options.raw);
  const SweepResult result =
      sweep(device, plan, effort_of(options.scope()), Seconds(60 * minutes), journal, show_progress);
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\033[K");
  fmt::print(stderr, "measured {} benchmarks, had {} before, {} left\n", result.measured, result.had, result.left);
  if (result.device_lost)
    fmt::print(stderr, "the GPU stopped answering; the same command goes on after that benchmark\n");
  else if (result.left > 0)
    fmt::print(stderr, "the time is used up; the same command goes on where this one stopped\n");
  journal.finish();
  return {journal.origin(), journal.samples()};
}

void print_fit(const SampleFit& fit) {
  for (const FittedCurve& curve : fit.report.curves)
    fmt::print("{:<24} {:>6} samples, {:>5} held out: median {:.1f} %, p95 {:.1f} % {}\n", curve.curve, curve.samples,
               curve.held_out, 100 * curve.median_error, 100 * curve.p95_error, curve.note);
  if (fit.links)
    for (const RunResidual& run : fit.links->residuals)
      fmt::print("{:<24} {:>6} samples, links: median {:.1f} %, p95 {:.1f} %\n", run.name, run.rows, 100 * run.median,
                 100 * run.p95);
  for (const auto& [reason, rows] : fit.report.skipped) fmt::print("{} samples left out: {}\n", rows, reason);
  for (const WorstShape& shape : fit.worst)
    fmt::print("furthest off: {:<36} measured {:.1f} us, fitted {:.1f} us ({:+.1f} %)\n", shape.what,
               1e6 * shape.measured.value(), 1e6 * shape.predicted.value(),
               100 * (shape.predicted / shape.measured - 1));
  for (const std::string& note : fit.notes) fmt::print("{}\n", note);
}

nlohmann::ordered_json to_json(const SampleFit& fit, const std::string& output) {
  nlohmann::ordered_json curves = nlohmann::ordered_json::array();
  for (const FittedCurve& curve : fit.report.curves)
    curves.push_back({{"curve", curve.curve},
                      {"samples", curve.samples},
                      {"held_out", curve.held_out},
                      {"median_error", curve.median_error},
                      {"p95_error", curve.p95_error},
                      {"note", curve.note}});
  nlohmann::ordered_json worst = nlohmann::ordered_json::array();
  for (const WorstShape& shape : fit.worst)
    worst.push_back(
        {{"shape", shape.what}, {"measured_s", shape.measured.value()}, {"predicted_s", shape.predicted.value()}});
  return {
      {"profile", output}, {"curves", curves}, {"worst", worst}, {"skipped", fit.report.skipped}, {"notes", fit.notes}};
}

int fit_and_write(const CalibrateOptions& options, const Profile& base, const SampleSet& set, const std::string& file) {
  SampleFit fit = fit_samples(base, set, file);
  fit.profile.title = fmt::format("{}, calibrated", base.title);
  write_file(options.output, save_profile(fit.profile));
  if (options.json)
    fmt::print("{}\n", to_json(fit, options.output).dump(2));
  else
    print_fit(fit);
  return 0;
}

void check_families(const std::vector<std::string>& only) {
  const std::vector<PlanFamily>& known = plan_families();
  std::string names;
  for (const PlanFamily& family : known) names += (names.empty() ? "" : ", ") + family.name;
  for (const std::string& name : only)
    if (std::none_of(known.begin(), known.end(), [&](const PlanFamily& family) { return family.name == name; }))
      throw InputError({"--only", 0, 0}, fmt::format("no family '{}'", name), "one of " + names);
}

// A place that can be written is worth knowing before a quarter of an hour of measuring.
void check_output(const std::string& output) {
  const auto folder = std::filesystem::absolute(output).parent_path();
  if (!std::filesystem::is_directory(folder) || access(folder.c_str(), W_OK) != 0)
    throw InputError({output, 0, 0}, "cannot be written", "-o in a folder that exists and can be written");
}

int run_calibrate(CalibrateOptions options) {
  check_families(options.only);
  check_output(options.output);
  if (!options.fit_only.empty()) {
    const SampleSet set = read_samples(options.fit_only);
    return fit_and_write(options, base_profile(options, set.origin.facts.gpu, options.fit_only), set, options.fit_only);
  }
  if (options.raw.empty())
    options.raw = std::filesystem::path(options.output).replace_extension(".samples.csv.gz").string();
  check_output(options.raw);
  const OpenedDevice opened = open_cuda_device();
  if (opened.device == nullptr) {
    fmt::print(stderr, "no CUDA device ({}); --fit-only SAMPLES.csv fits what was measured elsewhere\n", opened.reason);
    return 2;
  }
  const Profile base = base_profile(options, opened.device->facts().gpu, "calibrate");
  return fit_and_write(options, base, measure(options, *opened.device), options.raw);
}

std::string families_text() {
  std::string text = "Families for --only:\n";
  for (const PlanFamily& family : plan_families()) text += fmt::format("  {:<12} {}\n", family.name, family.meaning);
  return text;
}

}  // namespace

void add_calibrate_command(CLI::App& app, CommandBody& body) {
  auto options = std::make_shared<CalibrateOptions>();
  CLI::App* command = app.add_subcommand("calibrate", "Measure this machine's GPU and write a hardware profile");
  CLI::Option* quick = command->add_flag("--quick", options->quick, "Coarse: two minutes");
  command->add_flag("--thorough", options->thorough, "Fine: an hour and a half")->excludes(quick);
  command->add_option("--minutes", options->minutes, "Stop measuring after that long (default 15)")
      ->check(number_in(0.01, 10000));
  command->add_option("--only", options->only, "Families to measure, separated by commas")->delimiter(',');
  command->add_option("--profile", options->profile,
                      "The profile that gives datasheet rates and what is not measured (default: the shipped one of "
                      "this GPU)");
  command->add_option("-o,--output", options->output, "The profile to write")->required();
  command->add_option("--raw", options->raw,
                      "Samples, .csv or .csv.gz; measuring goes on with what it has (default: beside the profile)");
  command->add_option("--fit-only", options->fit_only, "Fit these samples and measure nothing: needs no GPU");
  command->add_flag("--json", options->json, "Print what was fitted as JSON");
  command->footer(families_text() +
                  "Example: echelon calibrate --quick -o my-h200.yaml --raw my-h200.csv.gz\n"
                  "         echelon calibrate --fit-only my-h200.csv.gz -o my-h200.yaml");
  command->callback([options, &body] { body = [options] { return run_calibrate(*options); }; });
}

}  // namespace echelon
