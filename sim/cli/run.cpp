#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "sim/app/scenario_text.h"
#include "sim/app/sensitivity.h"
#include "sim/app/simulate.h"
#include "sim/app/whole_run.h"
#include "sim/cli/command.h"
#include "sim/cli/number_in.h"
#include "sim/report/forecast_output.h"
#include "sim/report/result_json.h"
#include "sim/report/result_text.h"

namespace echelon {

bool shows_color() {
  return isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
}

namespace {

struct RunOptions {
  std::vector<std::string> files;
  std::vector<std::string> overrides;
  bool json = false;
  bool strict = false;
  bool operators = false;
  bool sensitivity = false;
  std::string network;
  std::string replay;  // empty: as the scenario needs it
  int threads = 0;
};

// Full replay where the user says so, or says nothing and the scenario tells ranks or their links apart.
ReplayChoice replay_choice(const Scenario& scenario, const RunOptions& options) {
  const bool alike = !scenario.tells_ranks_apart() && scenario.link_faults.empty();
  const ReplayKind fitting = alike ? ReplayKind::folded : ReplayKind::full;
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const ReplayKind kind = options.replay.empty()     ? fitting
                          : options.replay == "full" ? ReplayKind::full
                                                     : ReplayKind::folded;
  return {kind, options.threads > 0 ? options.threads : cores};
}

TextHeading heading_of(const Scenario& scenario) {
  TextHeading heading;
  heading.title = scenario.name;
  heading.subtitle = scenario_text(scenario);
  heading.measured_iteration_s = scenario.measured.iteration_time_s.value_or(0);
  heading.measured_peak_gib = scenario.measured.peak_memory_gib.value_or(0);
  return heading;
}

// With --strict nothing may be priced without measured ground: names what is not.
int refuse_ungrounded(const Scenario& scenario, const Result& result) {
  std::string parts;
  for (const OperatorLine& line : result.operators) {
    if (line.ground == Ground::measured) continue;
    if (!parts.empty()) parts += ", ";
    parts += fmt::format("{}/{} ({})", line.block, line.name, name_of(line.ground));
  }
  fmt::print(stderr, "{}: --strict: {:.1f} % of device time has no measured ground: {}\n", scenario.file,
             100 * (1 - result.coverage[static_cast<std::size_t>(Ground::measured)]), parts);
  return 1;
}

int print_infeasible(const Scenario& scenario, const Infeasible& refusal, const RunOptions& options) {
  if (options.json)
    fmt::print(
        "{}\n",
        nlohmann::ordered_json{{"scenario", scenario.file}, {"status", "infeasible"}, {"reason", refusal.reason}}.dump(
            2));
  else
    fmt::print("{}: cannot run: {}\n", scenario.name, refusal.reason);
  return 1;
}

int run_one(const std::string& file, const RunOptions& options) {
  std::vector<std::string> overrides = options.overrides;
  if (!options.network.empty()) overrides.push_back("cluster.network=" + options.network);
  const Scenario scenario = load_scenario(file, overrides, huggingface_reader());
  const bool detail = options.operators || options.strict || options.json;
  const auto outcome =
      simulate(scenario, detail ? Detail::operators : Detail::totals, replay_choice(scenario, options));
  if (const auto* refusal = std::get_if<Infeasible>(&outcome)) return print_infeasible(scenario, *refusal, options);
  const Result& result = std::get<Result>(outcome);
  if (options.strict && result.coverage[static_cast<std::size_t>(Ground::measured)] < 1)
    return refuse_ungrounded(scenario, result);
  const auto whole = whole_run(scenario, result);
  Sensitivities hangs_on;
  if (options.sensitivity) hangs_on = std::get<Sensitivities>(sensitivities(scenario));
  if (options.json) {
    auto json = result_to_json(result);
    if (whole) json["training_run"] = forecast_to_json(*whole);
    if (options.sensitivity) json["sensitivity"] = time_sensitivities_to_json(hangs_on);
    if (options.sensitivity) json["money_sensitivity"] = money_sensitivities_to_json(hangs_on);
    fmt::print("{}\n", json.dump(2));
  } else {
    fmt::print("{}", result_to_text(result, heading_of(scenario), {shows_color(), options.operators}));
    if (whole) fmt::print("\n{}", forecast_to_text(*whole, shows_color()));
    if (options.sensitivity) fmt::print("\n{}", sensitivities_to_text(hangs_on, shows_color()));
  }
  return result.memory.fits && (!whole || whole->ends()) ? 0 : 1;
}

int run_all(const RunOptions& options) {
  int code = 0;
  for (std::size_t i = 0; i < options.files.size(); ++i) {
    if (i > 0 && !options.json) fmt::print("\n");
    code = std::max(code, run_one(options.files[i], options));
  }
  return code;
}

}  // namespace

void add_run_command(CLI::App& app, CommandBody& body) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run", "Predict throughput and memory of scenarios");
  command->add_option("scenario", options->files, "Scenario files (YAML)")->required();
  command->add_option("--set", options->overrides, "Override a key: strategy.tensor_parallel=4 (repeatable)")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option(
      "--network", options->network,
      "analytic: collectives by NCCL's cost model; flow: on the cluster's links, shared by what runs at "
      "once (cluster.network)");
  command->add_flag("--json", options->json, "Print the result as JSON");
  command->add_flag("--strict", options->strict, "Refuse to predict where a part has no measured ground");
  command->add_flag("--operators", options->operators,
                    "Also print the table of operators: times and what they stand on");
  command->add_flag("--sensitivity", options->sensitivity,
                    "Also say how the time and the money hang on each number of the hardware and each price");
  command
      ->add_option("--replay", options->replay,
                   "folded: one rank for each pipeline stage; full: every rank on its own; default: full where the "
                   "scenario has variability or faults")
      ->check(CLI::IsMember({"folded", "full"}));
  command->add_option("--threads", options->threads, "Threads for the runs of full replay; default: one a core")
      ->check(integer_in(1, 1024));
  command->footer(
      "Example: echelon run scenarios/published/megatron-sc21-175b.yaml --set strategy.micro_batch=2\n"
      "Exit code: 0 fits, 1 cannot run, does not fit or never ends, 2 bad input.");
  command->callback([options, &body] { body = [options] { return run_all(*options); }; });
}

}  // namespace echelon
