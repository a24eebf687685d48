#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

#include "sim/app/sensitivity.h"
#include "sim/cli/choice.h"
#include "sim/cli/command.h"
#include "sim/cli/limit_options.h"
#include "sim/cli/number_in.h"
#include "sim/report/forecast_output.h"
#include "sim/report/number_text.h"
#include "sim/report/result_columns.h"
#include "sim/report/sensitivity_output.h"
#include "sim/search/anew.h"
#include "sim/search/method.h"

namespace echelon {

namespace {

struct SearchCommand {
  std::string file;
  std::vector<std::string> overrides;
  std::string objective = "time";
  std::string method{search_methods().front().name};
  LimitOptions limits;
  std::int64_t evaluations = 1'000'000'000;
  std::uint64_t seed = 1;
  int threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  bool sensitivity = false;
  bool json = false;
};

double value_of(const Found& found, std::string_view column) {
  return found.row.values[static_cast<std::size_t>(result_column(column) - result_columns().data())];
}

std::string money(double dollars) {
  return std::isnan(dollars) ? "-" : fmt::format("{:.4g} USD", dollars);
}

std::string sets_of(const Space& space, const Found& found) {
  std::string text;
  for (std::size_t i = 0; i < found.row.digits.size(); ++i)
    for (const Assignment& set : space.axes()[i].values[found.row.digits[i]].assignments)
      text += fmt::format("{}--set '{}={}'", text.empty() ? "" : " ", set.path, set.value.flow_text());
  return text;
}

std::string found_text(const SearchProblem& problem, const Found& found) {
  std::string text =
      fmt::format("point {}: {}, {} tokens/s, {:.1f} % MFU, {:.1f} GiB, {} for 10^9 tokens\n", found.row.point,
                  duration(Seconds(value_of(found, "iteration_time_s"))), grouped(value_of(found, "tokens_per_s")),
                  100 * value_of(found, "mfu"), Bytes(value_of(found, "peak_memory_bytes")) / gibibytes(1),
                  money(value_of(found, "usd_per_billion_tokens")));
  const double gpus = value_of(found, "tokens_per_s") / value_of(found, "tokens_per_s_per_gpu");
  if (found.run) text += fmt::format("  {}\n", run_text(*found.run, gpus));
  return text + fmt::format("  {}\n", sets_of(problem.space(), found));
}

std::string tally_text(Limit limit, const LimitTally& tally) {
  constexpr double seconds_per_day = 86400;
  switch (limit) {
    case Limit::max_gpus:
      return fmt::format("{} points have too many GPUs, {} and more", grouped(static_cast<double>(tally.points)),
                         grouped(tally.least));
    case Limit::deadline:
      return fmt::format("{} points take too long, {:.1f} days at least", grouped(static_cast<double>(tally.points)),
                         tally.least / seconds_per_day);
    case Limit::budget:
      return fmt::format("{} points cost too much, {} USD at least", grouped(static_cast<double>(tally.points)),
                         grouped(tally.least));
    case Limit::price:
      break;
  }
  return fmt::format("{} points have no known price (cluster.usd_per_gpu_hour gives one)",
                     grouped(static_cast<double>(tally.points)));
}

// What the limits rule out; empty where they rule out nothing.
std::string limits_text(const SearchCounts& counts) {
  std::string text;
  for (std::size_t i = 0; i < counts.limited.size(); ++i)
    if (counts.limited[i].points > 0)
      text += fmt::format("{}{}", text.empty() ? "Beyond the limits: " : "; ",
                          tally_text(static_cast<Limit>(i), counts.limited[i]));
  return text.empty() ? text : text + ".\n";
}

std::string counts_text(const SearchProblem& problem, double seconds) {
  const SearchCounts& counts = problem.counts();
  return fmt::format("{} points: {} full evaluations, {} bounds, {} ruled out at once; {:.2f} s{}\n",
                     problem.space().size(), counts.evaluations, counts.bounds, counts.refused, seconds,
                     problem.spent() ? "; --evaluations are spent" : "");
}

// A front has no best point to choose anew.
Sensitivities sensitivities_of(SearchProblem& problem, const Found& found, const SearchCommand& command) {
  if (problem.objective() == Objective::pareto)
    return std::get<Sensitivities>(sensitivities(problem.scenario_of(found), problem.limits().tokens));
  return sensitivities_anew(problem, found, *search_method(command.method), {command.seed, command.threads});
}

// A front from its fastest, cheapest or smallest point on.
std::vector<const Found*> best_first(const SearchProblem& problem) {
  std::vector<const Found*> all;
  for (const Found& found : problem.found()) all.push_back(&found);
  std::stable_sort(all.begin(), all.end(),
                   [](const Found* a, const Found* b) { return a->scores.front() < b->scores.front(); });
  return all;
}

nlohmann::ordered_json to_json(SearchProblem& problem, const SearchCommand& command) {
  using Json = nlohmann::ordered_json;
  const SearchCounts& counts = problem.counts();
  Json json = {{"objective", command.objective},      {"method", command.method}, {"points", problem.space().size()},
               {"evaluations", counts.evaluations},   {"bounds", counts.bounds},  {"ruled_out", counts.refused},
               {"evaluations_spent", problem.spent()}};
  json["limited"] = Json::object();
  for (std::size_t i = 0; i < counts.limited.size(); ++i)
    if (const LimitTally& tally = counts.limited[i]; tally.points > 0)
      json["limited"][std::string(name_of(static_cast<Limit>(i)))] = {{"points", tally.points}, {"least", tally.least}};
  json["found"] = Json::array();
  for (const Found* best : best_first(problem)) {
    const Found& found = *best;
    Json entry = Json::parse(json_line(problem.space(), found.row));
    if (found.run) entry["training_run"] = forecast_to_json(*found.run);
    entry["set"] = Json::array();
    for (std::size_t i = 0; i < found.row.digits.size(); ++i)
      for (const Assignment& set : problem.space().axes()[i].values[found.row.digits[i]].assignments)
        entry["set"].push_back(fmt::format("{}={}", set.path, set.value.flow_text()));
    if (command.sensitivity) {
      const Sensitivities hangs_on = sensitivities_of(problem, found, command);
      entry["sensitivity"] = time_sensitivities_to_json(hangs_on);
      entry["money_sensitivity"] = money_sensitivities_to_json(hangs_on);
    }
    json["found"].push_back(entry);
  }
  return json;
}

// Throws InputError at the cluster where money was asked for and nothing that runs has a price.
void check_prices(const SearchProblem& problem) {
  const auto& limited = problem.counts().limited;
  const std::int64_t unpriced = limited[static_cast<std::size_t>(Limit::price)].points;
  const auto points = [](std::int64_t sum, const LimitTally& tally) { return sum + tally.points; };
  const std::int64_t all = std::accumulate(limited.begin(), limited.end(), std::int64_t{0}, points);
  if (!problem.found().empty() || unpriced == 0 || unpriced < all) return;
  const SpaceDocument& document = problem.document();
  with_overrides(parse_text(document.text, document.file.string()), document.overrides)
      .at("cluster")
      .fail("nothing says what the GPUs cost, and money is asked for",
            "expected cluster.usd_per_gpu_hour, or another objective than cost and no budget");
}

int run_search(const SearchCommand& command) {
  const SearchMethod* method = search_method(command.method);
  if (method == nullptr) refuse_choice("--method", command.method, "method", search_method_names());
  const auto objective = from_name<Objective>(command.objective);
  if (!objective) refuse_choice("--objective", command.objective, "objective", all_names<Objective>());
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::string> overrides = command.overrides;
  for (const std::string& limit : overrides_of(command.limits)) overrides.push_back(limit);
  SearchProblem problem(load_space_document(command.file, overrides, huggingface_reader()), *objective,
                        command.evaluations);
  method->run(problem, {command.seed, command.threads});
  check_prices(problem);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  if (command.json) {
    fmt::print("{}\n", to_json(problem, command).dump(2));
  } else {
    for (const Found* found : best_first(problem)) {
      fmt::print("{}", found_text(problem, *found));
      if (command.sensitivity)
        fmt::print("\n{}\n", sensitivities_to_text(sensitivities_of(problem, *found, command), shows_color()));
    }
    if (problem.found().empty()) fmt::print("No point that was looked at can run.\n");
    fmt::print("{}{}", limits_text(problem.counts()), counts_text(problem, elapsed.count()));
  }
  return problem.found().empty() ? 1 : 0;
}

std::string method_help() {
  std::string text = "How to look:";
  for (const SearchMethod& method : search_methods()) text += fmt::format(" {} ({});", method.name, method.meaning);
  text.back() = ' ';
  return text;
}

}  // namespace

void add_search_command(CLI::App& app, CommandBody& body) {
  auto options = std::make_shared<SearchCommand>();
  CLI::App* command =
      app.add_subcommand("search", "Find the best point of the space that a scenario's `sweep` declares");
  command->add_option("scenario", options->file, "Scenario file (YAML) with a `sweep` section")->required();
  command->add_option("--set", options->overrides, "Override a key: workload.global_batch=512 (repeatable)")
      ->take_all()
      ->allow_extra_args(false);
  command
      ->add_option("--objective", options->objective,
                   "What counts, for a token: time, cost, energy, memory; pareto: all that nothing beats in time, "
                   "cost and memory")
      ->capture_default_str();
  command->add_option("--method", options->method, method_help())->capture_default_str();
  add_limit_options(*command, options->limits);
  command->add_option("--evaluations", options->evaluations, "Full evaluations at most")
      ->check(integer_in(1, 1'000'000'000));
  command->add_option("--seed", options->seed, "Of methods that draw points")
      ->check(number_in(0, 1e15))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "Threads for bounds; what is found does not depend on it")
      ->check(integer_in(1, 1024))
      ->capture_default_str();
  command->add_flag("--sensitivity", options->sensitivity,
                    "Also say how time and money of what was found hang on the hardware and the prices; the space is "
                    "searched anew for each number of the hardware, up and down");
  command->add_flag("--json", options->json, "Print what was found as JSON");
  command->footer(
      "Example: echelon search scenarios/sweeps/gpt3-175b-1024-a100.yaml --objective cost\n"
      "         echelon search scenarios/examples/cluster-for-a-deadline.yaml --objective cost --deadline 20\n"
      "Exit code: 0 found, 1 nothing can run, 2 bad input.");
  command->callback([options, &body] { body = [options] { return run_search(*options); }; });
}

}  // namespace echelon
