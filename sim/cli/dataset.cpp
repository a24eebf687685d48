// `echelon dataset`: build, query, rank.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "sim/cli/choice.h"
#include "sim/cli/command.h"
#include "sim/cli/number_in.h"
#include "sim/cli/progress.h"
#include "sim/dataset/build.h"
#include "sim/dataset/point_table.h"
#include "sim/dataset/query.h"
#include "sim/dataset/rank.h"
#include "sim/report/number_text.h"

namespace echelon {

namespace {

int default_threads() {
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

struct BuildCommand {
  std::string file;
  std::string folder;
  std::vector<std::string> overrides;
  std::string licence = "Apache-2.0";
  int threads = default_threads();
  bool restart = false;
};

struct QueryCommand {
  std::string folder;
  std::vector<std::string> conditions;
  std::int64_t limit = 40;
  bool json = false;
};

struct RankCommand {
  std::string folder;
  std::vector<std::string> methods;
  std::string objective = "time";
  RankOptions options{Objective::time, 100, 500, default_threads(), nullptr};
  bool json = false;
  bool markdown = false;
};

std::string counts_text(const Manifest& manifest) {
  const auto& counts = manifest.by_status;
  return fmt::format("{} points of {} combinations: {} run, {} do not fit, {} are infeasible",
                     grouped(static_cast<double>(manifest.rows())), grouped(static_cast<double>(manifest.combinations)),
                     grouped(static_cast<double>(counts[0])), grouped(static_cast<double>(counts[1])),
                     grouped(static_cast<double>(counts[2])));
}

void create_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    throw InputError({folder.string(), 0, 0}, "cannot be created: " + error.message(),
                     "expected a folder that can be written");
}

Manifest build(const BuildCommand& command, const SpaceDocument& document) {
  PointEvaluator reader(document);
  reader.check_values();
  create_folder(command.folder);
  const auto sink = file_sink(unpacked_points(command.folder), reader.space(), sweep_identity(document));
  const auto title = parse_text(document.text, document.file.string()).find("name");
  Progress progress(reader.space().size(), sink->next_point());
  const auto written = [&](const std::vector<Row>&, std::int64_t behind) { progress.show(behind); };
  return build_dataset(
      document, reader.space(), command.folder, *sink,
      {title ? title->text() : document.file.stem().string(), command.licence, {command.threads, written}});
}

int run_build(const BuildCommand& command) {
  const SpaceDocument document = load_space_document(command.file, command.overrides, huggingface_reader());
  if (command.restart) discard_dataset(command.folder);
  if (is_built(document, command.folder)) {
    discard(unpacked_points(command.folder));  // left where a build was killed behind its manifest
    fmt::print(stderr, "{}: complete already, {}\n", command.folder, counts_text(read_manifest(command.folder)));
    return 0;
  }
  const auto begin = std::chrono::steady_clock::now();
  const Manifest manifest = build(command, document);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  fmt::print(stderr, "{}; {:.1f} s, {} bytes\n", counts_text(manifest), elapsed.count(),
             grouped(static_cast<double>(manifest.points.bytes)));
  return 0;
}

std::vector<std::string> names_of(const Manifest& manifest) {
  std::vector<std::string> names;
  for (const DatasetColumn& column : manifest.columns) names.push_back(column.name);
  return names;
}

// What of a row fits on a terminal: axes with more than one value, and the figures that are asked for most.
class ShortTable {
 public:
  ShortTable(const PointTable& table, const Space& space) {
    add(table, "point", "point");
    for (const SpaceAxis& axis : space.axes())
      if (axis.values.size() > 1) add(table, axis.key, axis.key.substr(axis.key.rfind('.') + 1));
    for (const char* name : {"status", "iteration_time_s", "tokens_per_s", "mfu"}) add(table, name, name);
    add(table, "device_memory_bytes", "device_memory_gib", 1 / gibibytes(1).value());
  }

  void add_row(const std::vector<std::string>& cells) {
    std::vector<std::string> row;
    for (const Column& column : columns_) {
      const auto number = cell_number(cells[column.position]);
      row.push_back(number ? fmt::format("{:.6g}", *number * column.scale) : cells[column.position]);
    }
    rows_.push_back(std::move(row));
  }

  std::string text() const {
    std::vector<std::size_t> widths(columns_.size(), 0);
    for (const auto& row : rows_)
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], cells_of(row[i]));
    std::string text;
    for (const auto& row : rows_) {
      for (std::size_t i = 0; i < row.size(); ++i) text += (i == 0 ? "" : "  ") + to_the_right(row[i], widths[i]);
      text += "\n";
    }
    return text;
  }

 private:
  struct Column {
    std::size_t position = 0;
    double scale = 1;
  };

  void add(const PointTable& table, std::string_view name, const std::string& title, double scale = 1) {
    columns_.push_back({table.column(name), scale});
    if (rows_.empty()) rows_.emplace_back();
    rows_.front().push_back(title);
  }

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;  // the first: titles
};

int run_query(const QueryCommand& command) {
  const Manifest manifest = read_manifest(command.folder);
  check_packed(command.folder, manifest.points);
  const SpaceDocument document = document_of(manifest, command.folder, huggingface_reader());
  const Space space(with_overrides(parse_text(document.text, document.file.string()), document.overrides));
  const std::vector<std::string> names = names_of(manifest);
  const PointFilter filter(command.conditions, names, space);
  PointTable table(std::filesystem::path(command.folder) / manifest.points.name, names);
  ShortTable shown(table, space);
  std::int64_t found = 0;
  while (table.next()) {
    if (!filter.holds(table.cells())) continue;
    if (++found > command.limit && command.limit > 0) continue;
    if (command.json)
      fmt::print("{}\n", row_as_json(manifest.columns, table.cells()));
    else
      shown.add_row(table.cells());
  }
  if (!command.json) fmt::print("{}", shown.text());
  const bool all = command.limit == 0 || found <= command.limit;
  fmt::print(stderr, "{} of {}{}\n", grouped(static_cast<double>(found)), counts_text(manifest),
             all ? "" : fmt::format("; the first {} are shown (--limit)", command.limit));
  return 0;
}

std::vector<const SearchMethod*> methods_of(const std::vector<std::string>& names) {
  std::vector<const SearchMethod*> methods;
  if (names.empty())
    for (const SearchMethod& method : search_methods()) methods.push_back(&method);
  for (const std::string& name : names) {
    methods.push_back(search_method(name));
    if (methods.back() == nullptr) refuse_choice("", name, "search method", search_method_names());
  }
  return methods;
}

Objective one_score(const std::string& name) {
  const auto objective = from_name<Objective>(name);
  if (!objective || *objective == Objective::pareto)
    refuse_choice("--objective", name, "objective with one score", "time, cost, energy, memory");
  return *objective;
}

int run_rank(const RankCommand& command) {
  RankOptions options = command.options;
  options.objective = one_score(command.objective);
  const auto methods = methods_of(command.methods);
  const Manifest manifest = read_manifest(command.folder);
  check_packed(command.folder, manifest.points);
  const RecordedPoints points(command.folder, manifest);
  Ranking ranking;
  {
    const auto total = static_cast<std::int64_t>(methods.size()) * options.seeds;
    Progress progress(total, 0);
    std::int64_t done = 0;
    options.searched = [&] { progress.show(++done); };
    ranking = rank_methods(document_of(manifest, command.folder, huggingface_reader()), points, methods, options);
  }
  if (command.json) {
    fmt::print("{}\n", ranking_json(ranking).dump(2));
    return 0;
  }
  if (!command.markdown)
    fmt::print("{}: {}\nOptimum by {}: point {}. Regret in %: median (quartiles) of searches with other seeds\n\n",
               manifest.title, counts_text(manifest), command.objective, ranking.optimum_point);
  fmt::print("{}", ranking_table(ranking, command.markdown ? TableStyle::markdown : TableStyle::text));
  for (const MethodRank& rank : ranking.methods)
    if (rank.bounds > 0)
      fmt::print("\n{}: computes {} bounds first, which are no evaluations.\n", rank.method,
                 grouped(static_cast<double>(rank.bounds)));
  return 0;
}

void add_build(CLI::App& parent, CommandBody& body) {
  auto options = std::make_shared<BuildCommand>();
  CLI::App* command = parent.add_subcommand("build", "Predict every point of a space into a folder with a manifest");
  command->add_option("space", options->file, "Scenario file (YAML) with a `sweep` section")->required();
  command->add_option("-o,--output", options->folder, "Folder of the data set; one that is not complete is continued")
      ->required();
  command->add_option("--set", options->overrides, "Override a key: workload.global_batch=512 (repeatable)")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--licence", options->licence, "Of the data, for the manifest")->capture_default_str();
  command->add_option("--threads", options->threads, "Threads; the data do not depend on it")
      ->check(integer_in(1, 1024))
      ->capture_default_str();
  command->add_flag("--restart", options->restart, "Discard the data set that the folder holds");
  command->footer("Example: echelon dataset build scenarios/spaces/gpt3-175b-1024-a100.yaml -o gpt3");
  command->callback([options, &body] { body = [options] { return run_build(*options); }; });
}

void add_query(CLI::App& parent, CommandBody& body) {
  auto options = std::make_shared<QueryCommand>();
  CLI::App* command = parent.add_subcommand("query", "Look points of a data set up");
  command->add_option("folder", options->folder, "Folder of a data set")->required();
  command->add_option("conditions", options->conditions,
                      "KEY=VALUE of an axis or another column, such as micro_batch=2");
  command->add_option("--limit", options->limit, "Rows at most; 0: all")
      ->check(number_in(0, 1e15))
      ->capture_default_str();
  command->add_flag("--json", options->json, "All columns as JSON Lines");
  command->footer("Example: echelon dataset query gpt3 tensor_parallel=8 micro_batch=1 status=ok");
  command->callback([options, &body] { body = [options] { return run_query(*options); }; });
}

void add_rank(CLI::App& parent, CommandBody& body) {
  auto options = std::make_shared<RankCommand>();
  CLI::App* command = parent.add_subcommand("rank", "Replay search methods on a data set: regret against evaluations");
  command->add_option("folder", options->folder, "Folder of a data set")->required();
  command->add_option("methods", options->methods, "Methods of `echelon search`; all without any");
  command->add_option("--seeds", options->options.seeds, "Searches of each method that draws")
      ->check(integer_in(1, 100000))
      ->capture_default_str();
  command->add_option("--objective", options->objective, "What counts, for a token: time, cost, energy, memory")
      ->capture_default_str();
  command->add_option("--evaluations", options->options.evaluations, "Of each search at most")
      ->check(integer_in(1, 100'000'000))
      ->capture_default_str();
  command->add_option("--threads", options->options.threads, "Threads for bounds; the ranking does not depend on it")
      ->check(integer_in(1, 1024))
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print regrets at all checkpoints as JSON");
  command->add_flag("--markdown", options->markdown, "Print the table as Markdown");
  command->footer("Example: echelon dataset rank gpt3 random evolutionary --seeds 200");
  command->callback([options, &body] { body = [options] { return run_rank(*options); }; });
}

}  // namespace

void add_dataset_command(CLI::App& app, CommandBody& body) {
  CLI::App* command = app.add_subcommand("dataset", "Whole spaces as files: build, query, rank search methods on them");
  command->require_subcommand(1);
  command->footer("Example: echelon dataset query scenarios/spaces/llama3-70b-h100-b200 tensor_parallel=4 status=ok");
  add_build(*command, body);
  add_query(*command, body);
  add_rank(*command, body);
}

}  // namespace echelon
