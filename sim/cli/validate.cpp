#include <fmt/format.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "sim/app/simulate.h"
#include "sim/app/validate.h"
#include "sim/cli/command.h"
#include "sim/config/data_dir.h"
#include "sim/config/profile_config.h"
#include "sim/interop/hf_config.h"

namespace echelon {

namespace {

struct ValidateOptions {
  std::vector<std::string> files;
  std::string filter;
  std::string profile;
  bool json = false;
  bool markdown = false;
  bool verbose = false;
};

bool known(DataKind kind, const std::string& name) {
  const auto names = data_names(kind);
  return std::find(names.begin(), names.end(), name) != names.end();
}

// With `chosen` every row runs on that profile, whatever its GPU's own would be.
TruthLibrary library(const std::string& chosen) {
  auto profiles = std::make_shared<std::map<std::string, std::optional<Profile>>>();
  auto shapes = std::make_shared<std::map<std::string, std::optional<TransformerSpec>>>();
  std::optional<std::filesystem::path> override_file;
  if (!chosen.empty()) override_file = data_file(DataKind::profile, chosen, {"--profile"});
  TruthLibrary result;
  result.profiles = [profiles, override_file](const std::string& name) -> const Profile* {
    auto [entry, fresh] = profiles->try_emplace(name);
    if (fresh && override_file)
      entry->second = load_profile(*override_file);
    else if (fresh && known(DataKind::profile, name))
      entry->second = load_profile(data_file(DataKind::profile, name, {}));
    return entry->second ? &*entry->second : nullptr;
  };
  result.shapes = [shapes](const std::string& name) {
    auto [entry, fresh] = shapes->try_emplace(name);
    if (fresh && known(DataKind::model, name))
      entry->second = transformer_from_hf(parse_file(data_file(DataKind::model, name, {})));
    return entry->second;
  };
  return result;
}

Outcome predict(const Scenario& scenario) {
  const auto outcome = simulate(scenario);
  if (const auto* refusal = std::get_if<Infeasible>(&outcome)) return *refusal;
  const Result& result = std::get<Result>(outcome);
  Prediction prediction{result.iteration,   result.iteration_low, result.iteration_high, result.memory.peak, {},
                        result.memory.fits, result.breakdown};
  for (const StageMemory& stage : result.memory.per_stage) prediction.stage_peaks.push_back(stage.peak);
  return prediction;
}

int run_validate(const ValidateOptions& options) {
  const std::vector<std::filesystem::path> files(options.files.begin(), options.files.end());
  const ValidationReport report = validate(files, parse_row_filter(options.filter), library(options.profile), predict);
  if (options.json)
    fmt::print("{}\n", to_json(report).dump(2));
  else if (options.markdown)
    fmt::print("{}", summary_markdown(report));
  else
    fmt::print("{}\n{}", rows_text(report, options.verbose ? RowDetail::assumptions : RowDetail::rows),
               summary_text(report));
  return 0;
}

}  // namespace

void add_validate_command(CLI::App& app, CommandBody& body) {
  auto options = std::make_shared<ValidateOptions>();
  CLI::App* command = app.add_subcommand("validate", "Hold predictions against measured runs");
  command->add_option("table", options->files, "Truth tables (CSV)")->required();
  command->add_option("--filter", options->filter, "Rows to take: pp=1,source~nanotron or a bare word");
  command->add_option("--profile", options->profile, "Predict every row on this profile, not on its GPU's own");
  command->add_flag("--json", options->json, "Print rows and summary as JSON");
  command->add_flag("--markdown", options->markdown, "Print the summary as a Markdown table");
  command->add_flag("--verbose", options->verbose, "Also print what was assumed for each row");
  command->footer("Example: echelon validate scenarios/truth/torchtitan.csv");
  command->callback([options, &body] { body = [options] { return run_validate(*options); }; });
}

}  // namespace echelon
