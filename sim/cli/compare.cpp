#include "sim/app/compare.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "sim/cli/choice.h"
#include "sim/cli/command.h"
#include "sim/cli/limit_options.h"
#include "sim/report/comparison_html.h"
#include "sim/report/comparison_output.h"

namespace echelon {

const ResultColumn& metric_of(const std::string& name) {
  const ResultColumn* column = result_column(name);
  if (column == nullptr || column->better == Better::neither) refuse_choice("--metric", name, "metric", metric_names());
  return *column;
}

namespace {

struct CompareOptions {
  std::vector<std::filesystem::path> files;
  std::vector<std::string> overrides;
  std::string metric = "tokens_per_s";
  LimitOptions limits;
  std::string report;
  bool json = false;
};

int run_compare(const CompareOptions& options) {
  const ResultColumn& metric = metric_of(options.metric);
  std::vector<std::string> overrides = options.overrides;
  for (const std::string& limit : overrides_of(options.limits)) overrides.push_back(limit);
  const auto candidates = candidates_of(options.files, overrides, huggingface_reader());
  if (!options.report.empty()) write_file(options.report, comparison_to_html(candidates, metric));
  if (options.json)
    fmt::print("{}\n", comparison_to_json(candidates, metric).dump(2));
  else
    fmt::print("{}", comparison_to_text(candidates, metric, shows_color()));
  return best_candidate(candidates, metric) ? 0 : 1;
}

}  // namespace

void add_compare_command(CLI::App& app, CommandBody& body) {
  auto options = std::make_shared<CompareOptions>();
  CLI::App* command = app.add_subcommand("compare", "Hold scenarios against each other and say why they differ");
  command
      ->add_option("scenario", options->files,
                   "Scenario files (YAML); one with `models:`, `clusters:`, `workloads:` or `strategies:` is several")
      ->required();
  command->add_option("--set", options->overrides, "Override a key in all of them: workload.global_batch=512")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--metric", options->metric, "What makes the best: " + metric_names())->capture_default_str();
  add_limit_options(*command, options->limits);
  command->add_option("--report", options->report, "Also write the comparison as one self-contained HTML page");
  command->add_flag("--json", options->json, "Print the comparison as JSON");
  command->footer(
      "Example: echelon compare scenarios/sweeps/compare-h100-b200.yaml --metric usd_per_billion_tokens\n"
      "         echelon compare scenarios/sweeps/compare-h100-b200.yaml --tokens 1e12 --report decision.html\n"
      "Exit code: 0 one of them runs, 1 none does, 2 bad input.");
  command->callback([options, &body] { body = [options] { return run_compare(*options); }; });
}

}  // namespace echelon
