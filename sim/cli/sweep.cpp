#include "sim/sweep/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <thread>

#include "sim/cli/command.h"
#include "sim/cli/number_in.h"
#include "sim/cli/progress.h"
#include "sim/report/number_text.h"
#include "sim/report/result_columns.h"
#include "sim/sweep/process_group.h"

namespace echelon {

namespace {

struct SweepCommand {
  std::string file;
  std::vector<std::string> overrides;
  std::string output;
  std::string metric = "tokens_per_s";
  int threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  bool json = false;
  bool restart = false;
};

// Counts rows and remembers the best.
class Tally {
 public:
  explicit Tally(const ResultColumn& metric)
      : metric_(metric), column_(static_cast<std::size_t>(&metric - result_columns().data())) {}

  void add(const std::vector<Row>& rows) {
    for (const Row& row : rows) {
      ++counts_[static_cast<std::size_t>(row.status)];
      if (row.status != PointStatus::ok || std::isnan(row.values[column_])) continue;
      const bool higher = metric_.better == Better::higher;
      if (!best_ ||
          (higher ? row.values[column_] > best_->values[column_] : row.values[column_] < best_->values[column_]))
        best_ = row;
    }
  }

  // `continues`: the file had rows before, which are not counted here.
  std::string text(const Space& space, double seconds, bool continues) const {
    const std::int64_t all = counts_[0] + counts_[1] + counts_[2];
    if (continues && all == 0) return "every point was in the file already\n";
    std::string text = fmt::format("{} {}points in {:.1f} s: {} run, {} do not fit, {} are infeasible\n", all,
                                   continues ? "more " : "", seconds, counts_[0], counts_[1], counts_[2]);
    if (!best_) return text;
    text += fmt::format("best {}by {}: point {}, {}\n ", continues ? "of these " : "", metric_.name, best_->point,
                        figure_text(metric_, best_->values[column_]));
    for (std::size_t i = 0; i < best_->digits.size(); ++i)
      for (const Assignment& set : space.axes()[i].values[best_->digits[i]].assignments)
        text += fmt::format(" --set '{}={}'", set.path, set.value.flow_text());
    return text + "\n";
  }

 private:
  const ResultColumn& metric_;
  std::size_t column_;
  std::array<std::int64_t, 3> counts_{};
  std::optional<Row> best_;
};

std::unique_ptr<RowSink> open_sink(const SweepCommand& command, const SpaceDocument& document, const Space& space) {
  if (command.output.empty()) return standard_output_sink(command.json ? RowFormat::json_lines : RowFormat::csv, space);
  if (command.restart) discard(command.output);
  return file_sink(command.output, space, sweep_identity(document));
}

void run_and_show(const SweepCommand& command, const SpaceDocument& document, ProcessGroup* group) {
  Tally tally(metric_of(command.metric));
  PointEvaluator reader(document);
  reader.check_values();
  const auto sink = open_sink(command, document, reader.space());
  const auto begin = std::chrono::steady_clock::now();
  const bool continues = sink->next_point() > 0;
  {
    Progress progress(reader.space().size(), sink->next_point());
    const SweepOptions options{command.threads, [&](const std::vector<Row>& rows, std::int64_t behind) {
                                 tally.add(rows);
                                 progress.show(behind);
                               }};
    if (group != nullptr)
      group->sweep(reader, *sink, options);
    else
      run_sweep(document, *sink, options);
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  fmt::print(stderr, "{}", tally.text(reader.space(), elapsed.count(), continues));
}

int run_sweep_command(const SweepCommand& command) {
  const auto load = [&] { return load_space_document(command.file, command.overrides, huggingface_reader()); };
  const auto group = ProcessGroup::join();
  if (group && !group->leads())
    group->work([&] { return std::make_unique<PointEvaluator>(load()); });
  else
    run_and_show(command, load(), group.get());
  return 0;
}

}  // namespace

void add_sweep_command(CLI::App& app, CommandBody& body) {
  auto options = std::make_shared<SweepCommand>();
  CLI::App* command =
      app.add_subcommand("sweep", "Predict every point of the space that a scenario's `sweep` declares");
  command->add_option("scenario", options->file, "Scenario file (YAML) with a `sweep` section")->required();
  command->add_option("--set", options->overrides, "Override a key: workload.global_batch=512 (repeatable)")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("-o,--output", options->output,
                      "File: .csv, .jsonl, .sqlite; one that is not complete is continued. Standard output without it");
  command->add_flag("--restart", options->restart, "Discard what the file holds");
  command->add_flag("--json", options->json, "JSON Lines on standard output instead of CSV");
  command->add_option("--metric", options->metric, "What the best point is told by")->capture_default_str();
  command
      ->add_option("--threads", options->threads,
                   "Threads; the rows do not depend on it. Under mpirun each process is one thread")
      ->check(integer_in(1, 1024))
      ->capture_default_str();
  command->footer(
      "Example: echelon sweep scenarios/sweeps/gpt3-175b-1024-a100.yaml -o points.csv\n"
      "         mpirun -n 64 echelon sweep space.yaml -o points.csv     (built with MPI)");
  command->callback([options, &body] { body = [options] { return run_sweep_command(*options); }; });
}

}  // namespace echelon
