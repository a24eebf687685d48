#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "calibrate/fit/sample_fit.h"
#include "calibrate/gpu/open_device.h"
#include "calibrate/gpu/peers.h"
#include "calibrate/sweep/plan.h"
#include "calibrate/sweep/sweep.h"
#include "sim/cli/children.h"
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
  std::string rendezvous;
  int rank = -1;  // -1 = as the launcher says
  int ranks = 0;  // 0 = as the launcher says
  double patience = 120;

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

// What launchers tell each process: Open MPI, MPICH and Intel MPI (PMI), Slurm.
constexpr std::array<std::array<const char*, 2>, 3> launcher_variables{
    {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, {"PMI_RANK", "PMI_SIZE"}, {"SLURM_PROCID", "SLURM_NTASKS"}}};

int number_of(const char* variable) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? -1 : std::atoi(text);
}

Rendezvous rendezvous_of(const CalibrateOptions& options) {
  Rendezvous meeting;
  meeting.file = options.rendezvous;
  meeting.rank = options.rank;
  meeting.ranks = options.ranks;
  for (const auto& [rank, ranks] : launcher_variables) {
    if (number_of(rank) < 0) continue;
    if (meeting.rank < 0) meeting.rank = number_of(rank);
    if (meeting.ranks == 0) meeting.ranks = number_of(ranks);
  }
  if (meeting.rank < 0 || meeting.ranks < 2 || meeting.rank >= meeting.ranks)
    throw InputError(
        {"--rendezvous", 0, 0}, fmt::format("process {} of {}", meeting.rank, meeting.ranks),
        "--rank R --ranks N with R from 0 to N - 1 and 2 processes or more, one a node, or a launcher that "
        "says so (mpirun, srun)");
  meeting.patience = std::chrono::milliseconds(static_cast<std::int64_t>(1000 * options.patience));
  return meeting;
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

// What one process found: a lost device needs another one to go on.
struct Measured {
  SampleSet set;
  bool device_lost = false;
};

// Measures; a used-up budget is told.
Measured measure(const CalibrateOptions& options, const ChildStart& start, DeviceLayer& device) {
  const DeviceFacts facts = device.facts();
  const std::vector<Benchmark> plan = make_plan(options.scope(), options.only, facts);
  SampleJournal journal(options.raw, {facts, host_name(), today()});
  take_over(plan, journal, {start.died_of, start.by_peer});
  fmt::print(stderr, "{}, {} GPUs here; {} benchmarks within {:.3g} minutes -> {}\n", facts.gpu, facts.gpus,
             plan.size(), options.minutes, options.raw);
  const SweepResult result =
      sweep(device, plan, effort_of(options.scope()), Seconds(60 * options.minutes), journal, show_progress);
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\033[K");
  fmt::print(stderr, "measured {} benchmarks, had {} before, {} left\n", result.measured, result.had, result.left);
  if (result.left > 0 && !result.device_lost)
    fmt::print(stderr, "the time is used up; the same command goes on where this one stopped\n");
  journal.finish();
  return {{journal.origin(), journal.samples()}, result.device_lost && result.left > 0};
}

void print_fit(const SampleFit& fit) {
  for (const FittedCurve& curve : fit.report.curves) fmt::print("{}\n", curve.line());
  if (fit.links)
    for (const RunResidual& run : fit.links->residuals)
      fmt::print("{:<40} {:>6} samples, links: median {:.1f} %, p95 {:.1f} %\n", run.name, run.rows, 100 * run.median,
                 100 * run.p95);
  for (const auto& [reason, rows] : fit.report.skipped) fmt::print("{} samples left out: {}\n", rows, reason);
  for (const HeldOutShape& shape : worst_of(fit.report.held_out)) fmt::print("{}\n", shape.line());
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
                      {"mean_error", curve.mean_error},
                      {"note", curve.note}});
  nlohmann::ordered_json worst = nlohmann::ordered_json::array();
  for (const HeldOutShape& shape : worst_of(fit.report.held_out))
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

// Throws InputError where the others do not come.
void join_others(const Rendezvous& meeting, DeviceLayer& device) {
  fmt::print(stderr, "waiting for {} processes at {}\n", meeting.ranks, meeting.file.string());
  try {
    device.join(meeting);
  } catch (const std::runtime_error& error) {
    throw InputError({meeting.file.string(), 0, 0}, error.what(),
                     "one process a node, all started within --patience, with a --rendezvous file that all see");
  }
}

// Gives up a device whose libraries may wait for ever, for one that answers no more or for ranks that are gone.
int go_on_without(std::unique_ptr<DeviceLayer> device) {
  (void)device.release();
  return go_on_exit_code;
}

int take_part(const Rendezvous& meeting, std::unique_ptr<DeviceLayer> device) {
  fmt::print(stderr, "process {} of {} takes part in what process 0 measures\n", meeting.rank, meeting.ranks);
  try {
    device->follow();
    return 0;
  } catch (const std::runtime_error& error) {
    fmt::print(stderr, "process {}: {}\n", meeting.rank, error.what());
    return go_on_without(std::move(device));
  }
}

// The body of a child.
int run_on_device(CalibrateOptions options, const Peers* peers, const ChildStart& start) {
  OpenedDevice opened = open_cuda_device();
  if (opened.device == nullptr) {
    fmt::print(stderr, "no CUDA device ({}); --fit-only SAMPLES.csv fits what was measured elsewhere\n", opened.reason);
    return 2;
  }
  if (peers != nullptr) {
    const Rendezvous meeting = peers->meeting(start.number, opened.device->facts().gpus);
    join_others(meeting, *opened.device);
    if (meeting.rank > 0) return take_part(meeting, std::move(opened.device));
  }
  const Profile base = base_profile(options, opened.device->facts().gpu, "calibrate");
  options.minutes = std::max(options.minutes - start.spent.value() / 60, 0.01);
  const Measured measured = measure(options, start, *opened.device);
  if (measured.device_lost) return go_on_without(std::move(opened.device));
  return fit_and_write(options, base, measured.set, options.raw);
}

// The parent touches no CUDA.
int run_watched(const CalibrateOptions& options) {
  std::optional<Peers> peers;
  if (!options.rendezvous.empty()) peers.emplace(rendezvous_of(options));
  Watched watched;
  watched.peers = peers ? &*peers : nullptr;
  if (!peers || peers->rendezvous().rank == 0) watched.journal = options.raw + ".part";
  return run_in_children(watched,
                         [&](const ChildStart& start) { return run_on_device(options, watched.peers, start); });
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
  if (options.minutes <= 0) options.minutes = budget_minutes(options.scope());
  return run_watched(options);
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
  command->add_option("--rendezvous", options->rendezvous,
                      "Measure collectives over several nodes as well: a file in a folder that all see, one process a "
                      "node; process 0 measures and writes, the others take part");
  command->add_option("--rank", options->rank, "Of this process, from 0 (default: as mpirun or srun says)")
      ->check(integer_in(0, 65535));
  command->add_option("--ranks", options->ranks, "Processes (default: as mpirun or srun says)")
      ->check(integer_in(2, 65536));
  command->add_option("--patience", options->patience, "Seconds to wait for the others (default 120)")
      ->check(CLI::Range(0.1, 86400.0));
  command->add_flag("--json", options->json, "Print what was fitted as JSON");
  command->footer(families_text() +
                  "Example: echelon calibrate --quick -o my-h200.yaml --raw my-h200.csv.gz\n"
                  "         echelon calibrate --fit-only my-h200.csv.gz -o my-h200.yaml\n"
                  "         srun -N 4 --ntasks-per-node 1 echelon calibrate --only collective --rendezvous meet -o "
                  "four-nodes.yaml");
  command->callback([options, &body] { body = [options] { return run_calibrate(*options); }; });
}

}  // namespace echelon
