#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "sim/cli/command.h"
#include "sim/report/number_text.h"
#include "sim/report/result_columns.h"
#include "sim/search/method.h"

namespace echelon {

namespace {

struct SearchCommand {
  std::string file;
  std::vector<std::string> overrides;
  std::string objective = "time";
  std::string method{search_methods().front().name};
  std::int64_t budget = 1'000'000'000;
  std::uint64_t seed = 1;
  int threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
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

std::string found_text(const Space& space, const Found& found) {
  return fmt::format("point {}: {}, {} tokens/s, {:.1f} % MFU, {:.1f} GiB, {} for 10^9 tokens\n  {}\n", found.row.point,
                     duration(Seconds(value_of(found, "iteration_time_s"))), grouped(value_of(found, "tokens_per_s")),
                     100 * value_of(found, "mfu"), Bytes(value_of(found, "peak_memory_bytes")) / gibibytes(1),
                     money(value_of(found, "usd_per_billion_tokens")), sets_of(space, found));
}

std::string counts_text(const SearchProblem& problem, double seconds) {
  const SearchCounts& counts = problem.counts();
  return fmt::format("{} points: {} full evaluations, {} bounds, {} ruled out at once; {:.2f} s{}\n",
                     problem.space().size(), counts.evaluations, counts.bounds, counts.refused, seconds,
                     problem.exhausted() ? "; the budget is spent" : "");
}

nlohmann::ordered_json to_json(const SearchProblem& problem, const SearchCommand& command) {
  using Json = nlohmann::ordered_json;
  const SearchCounts& counts = problem.counts();
  Json json = {{"objective", command.objective},     {"method", command.method}, {"points", problem.space().size()},
               {"evaluations", counts.evaluations},  {"bounds", counts.bounds},  {"ruled_out", counts.refused},
               {"budget_spent", problem.exhausted()}};
  json["found"] = Json::array();
  for (const Found& found : problem.found()) {
    Json entry = Json::parse(json_line(problem.space(), found.row));
    entry["set"] = Json::array();
    for (std::size_t i = 0; i < found.row.digits.size(); ++i)
      for (const Assignment& set : problem.space().axes()[i].values[found.row.digits[i]].assignments)
        entry["set"].push_back(fmt::format("{}={}", set.path, set.value.flow_text()));
    json["found"].push_back(entry);
  }
  return json;
}

int run_search(const SearchCommand& command) {
  const SearchMethod* method = search_method(command.method);
  if (method == nullptr)
    throw InputError({"--method " + command.method, 0, 0}, "there is no such method",
                     "expected one of: " + search_method_names());
  const auto objective = from_name<Objective>(command.objective);
  if (!objective)
    throw InputError({"--objective " + command.objective, 0, 0}, "there is no such objective",
                     "expected one of: " + all_names<Objective>());
  const auto begin = std::chrono::steady_clock::now();
  SearchProblem problem(load_space_document(command.file, command.overrides, huggingface_reader()), *objective,
                        command.budget);
  method->run(problem, {command.seed, command.threads});
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  if (command.json) {
    fmt::print("{}\n", to_json(problem, command).dump(2));
  } else {
    for (const Found& found : problem.found()) fmt::print("{}", found_text(problem.space(), found));
    if (problem.found().empty()) fmt::print("No point that was looked at can run.\n");
    fmt::print("{}", counts_text(problem, elapsed.count()));
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
  command->add_option("--budget", options->budget, "Full evaluations at most")->check(CLI::PositiveNumber);
  command->add_option("--seed", options->seed, "Of methods that draw points")->capture_default_str();
  command->add_option("--threads", options->threads, "Threads for bounds; what is found does not depend on it")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print what was found as JSON");
  command->footer(
      "Example: echelon search scenarios/sweeps/gpt3-175b-1024-a100.yaml --objective cost\n"
      "Exit code: 0 found, 1 nothing can run, 2 bad input.");
  command->callback([options, &body] { body = [options] { return run_search(*options); }; });
}

}  // namespace echelon
