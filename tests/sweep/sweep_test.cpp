#include "sim/sweep/sweep.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "sim/app/simulate.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/sweep/small_space.h"

using namespace echelon;

namespace {

// A file name of its own for each test, gone with the object.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& name)
      : path_(std::filesystem::temp_directory_path() / ("echelon-sweep-test-" + name)) {
    discard(path_);
  }
  ~ScratchFile() { discard(path_); }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string text() const {
    std::ostringstream text;
    text << std::ifstream(path_, std::ios::binary).rdbuf();
    return text.str();
  }

 private:
  std::filesystem::path path_;
};

void sweep_into(const ScratchFile& file, const SpaceDocument& document, int threads) {
  PointEvaluator reader(document);
  reader.check_values();
  const auto sink = file_sink(file.path(), reader.space(), sweep_identity(document));
  run_sweep(document, *sink, {threads, nullptr});
}

const SpaceDocument document = test::document_of(test::small_axes);

}  // namespace

TEST_CASE("a row is what run would say of the point") {
  PointEvaluator evaluator(document);
  const auto digits = std::vector<std::size_t>{1, 1, 1};
  const Row row = row_of(evaluator.space().point_of(digits), digits, evaluator.evaluate(digits));
  const Value changed = with_overrides(
      test::parsed(document), {"strategy.tensor_parallel=2", "strategy.pipeline_parallel=2", "strategy.micro_batch=2"});
  const auto outcome = simulate(scenario_from_yaml(changed, document.file, document.hf_reader));
  CHECK(row.values[0] == std::get<Result>(outcome).iteration.value());
  CHECK(row.status == PointStatus::ok);
}

TEST_CASE("faults and background jobs are held against the cluster of each point") {
  PointEvaluator evaluator(test::document_of("    cluster.gpus: [8, 16]\n",
                                             {"cluster.network=flow", "faults=[{rank: 15, compute_factor: 2}]",
                                              "background=[{megabytes: 1, nodes: [4, 5], ranks_per_node: 4}]"}));
  const auto small = evaluator.scenario({0});
  CHECK(std::get<Infeasible>(small).reason.find("rank 15 of 8 GPUs") != std::string::npos);
  const auto large = evaluator.scenario({1});
  CHECK(std::get<const Scenario*>(large)->faults.size() == 1);
  CHECK(std::get<const Scenario*>(large)->background.size() == 1);
}

TEST_CASE("points in any order are read as from scratch") {
  PointEvaluator evaluator(document);
  const Space& space = evaluator.space();
  for (const std::int64_t point : {5, 23, 0, 11, 11, 7, 22, 1}) {
    PointEvaluator fresh(document);
    const auto digits = space.digits(point);
    CHECK(csv_line(space, row_of(point, digits, evaluator.evaluate(digits))) ==
          csv_line(space, row_of(point, digits, fresh.evaluate(digits))));
  }
}

TEST_CASE("infeasible points are kept with their reason") {
  PointEvaluator evaluator(test::document_of("    strategy.tensor_parallel: [3]\n"));
  const Row row = row_of(0, {0}, evaluator.evaluate({0}));
  CHECK(row.status == PointStatus::infeasible);
  CHECK(row.reason.find("does not divide the 16 GPUs") != std::string::npos);
  CHECK(row.reason.find("small.yaml") == std::string::npos);
}

TEST_CASE("the bytes are the same for any number of threads") {
  for (const char* name : {"a.csv", "a.jsonl", "a.sqlite"}) {
    const ScratchFile one(std::string("one-") + name);
    const ScratchFile four(std::string("four-") + name);
    sweep_into(one, document, 1);
    sweep_into(four, document, 4);
    CHECK(one.text() == four.text());
    CHECK(!one.text().empty());
  }
}

TEST_CASE("JSON lines hold what CSV holds") {
  const ScratchFile lines("lines.jsonl");
  sweep_into(lines, document, 2);
  std::istringstream text(lines.text());
  std::string line;
  std::int64_t points = 0;
  while (std::getline(text, line)) {
    const auto json = nlohmann::json::parse(line);
    CHECK(json["point"] == points++);
    CHECK(json["strategy.micro_batch"].is_number());
    if (json["status"] == "ok") CHECK(json["iteration_time_s"].get<double>() > 0);
  }
  CHECK(points == 24);
}

TEST_CASE("JSON lines have booleans, nulls and numbers as such, lists and mappings as --set takes them") {
  PointEvaluator evaluator(
      test::document_of("    strategy.sequence_parallel: [false, yes]\n    strategy.stage_layers: [null, [4, 4]]\n"
                        "    strategy.recompute: [{kind: full}]\n    strategy.pipeline_parallel: [2]\n"));
  const Space& space = evaluator.space();
  const auto json = [&](const std::vector<std::size_t>& digits) {
    return nlohmann::json::parse(json_line(space, row_of(space.point_of(digits), digits, evaluator.evaluate(digits))));
  };
  const auto first = json({0, 0, 0, 0});
  CHECK(first["strategy.sequence_parallel"] == false);
  CHECK(first["strategy.stage_layers"].is_null());
  CHECK(first["strategy.recompute"] == "{kind: full}");
  CHECK(first["strategy.pipeline_parallel"] == 2);
  const auto last = json({1, 1, 0, 0});
  CHECK(last["strategy.sequence_parallel"] == true);
  CHECK(last["strategy.stage_layers"] == "[4, 4]");
}

TEST_CASE("a column has one type for all its rows") {
  const Space space(test::parsed(
      test::document_of("    strategy.sequence_parallel: [false, yes]\n    strategy.stage_layers: [null, [4, 4]]\n"
                        "    strategy.micro_batch: [1, 2]\n    model.rope_scale: [0.5, 1]\n"
                        "    strategy.data_parallel: [auto, 8]\n    strategy.recompute: [none, full]\n")));
  const auto columns = row_columns(space);
  using Type = ColumnType;
  const std::vector<Type> types = {Type::integer, Type::boolean, Type::text, Type::integer, Type::number,
                                   Type::mixed,   Type::text,    Type::text, Type::text,    Type::number};
  for (std::size_t i = 0; i < types.size(); ++i) {
    CAPTURE(columns[i].name);
    CHECK(columns[i].type == types[i]);
  }
}

TEST_CASE("a file whose booleans are texts, as they once were, is refused at its last line, with what to do") {
  const SpaceDocument booleans =
      test::document_of("    strategy.sequence_parallel: [false, true]\n    strategy.micro_batch: [1, 2]\n");
  const ScratchFile file("older.jsonl");
  sweep_into(file, booleans, 1);
  std::string text = file.text();
  text.resize(text.rfind('\n', text.size() - 2) + 1);  // as if killed before the last row
  for (const char* word : {"false", "true"})
    for (std::size_t at = 0; (at = text.find(std::string(":") + word, at)) != std::string::npos;)
      text.replace(at, 1 + std::string(word).size(), fmt::format(":\"{}\"", word));
  std::ofstream(file.path(), std::ios::binary) << text;
  const std::string error = test::error_of([&] { sweep_into(file, booleans, 1); });
  CHECK(error.find(file.path().string() + ":3:1: the row of point 2 is not what comes out now") == 0);
  CHECK(error.find("--restart discards") != std::string::npos);
  CHECK(file.text() == text);
}

TEST_CASE("a sweep goes on wherever its file was cut") {
  for (const char* name : {"cut.csv", "cut.jsonl"}) {
    const ScratchFile whole(std::string("whole-") + name);
    sweep_into(whole, document, 2);
    const std::string text = whole.text();
    for (std::size_t length = 0; length <= text.size(); length += 97) {
      std::filesystem::resize_file(whole.path(), length);
      sweep_into(whole, document, 2);
      CHECK((whole.text() == text));
    }
  }
}

TEST_CASE("a file of another sweep, or of none, is left alone") {
  const ScratchFile file("other.csv");
  sweep_into(file, document, 1);
  const std::string text = file.text();
  const SpaceDocument other = test::document_of("    strategy.micro_batch: [1, 2, 4]\n");
  CHECK(test::error_of([&] { sweep_into(file, other, 1); }).find("another space") != std::string::npos);
  CHECK(file.text() == text);
  const ScratchFile note("note.csv");
  std::ofstream(note.path()) << "my own table\n";
  CHECK(test::error_of([&] { sweep_into(note, document, 1); }).find("no sweep wrote it") != std::string::npos);
  CHECK(note.text() == "my own table\n");
  CHECK(test::error_of([] { format_of("points.xlsx"); }).find("expected .csv") != std::string::npos);
}

TEST_CASE("rows that the program would not write any more stop a sweep from going on") {
  const ScratchFile file("stale.csv");
  sweep_into(file, document, 1);
  std::string text = file.text();
  text.resize(text.size() / 2);
  text.resize(text.rfind('\n') + 1);
  text.replace(text.size() - 3, 2, "99");
  std::ofstream(file.path(), std::ios::binary) << text;
  CHECK(test::error_of([&] { sweep_into(file, document, 1); }).find("is not what comes out now") != std::string::npos);
}

TEST_CASE("a value that no point could have stops a sweep before it begins") {
  const ScratchFile file("bad.csv");
  const auto error = [&](const std::string& axes) {
    return test::error_of([&] { sweep_into(file, test::document_of(axes), 2); });
  };
  CHECK(error("    strategy.tensor_paralel: [1]\n").find("did you mean 'tensor_parallel'?") != std::string::npos);
  CHECK(error("    strategy.recompute: [none, ful]\n").find("ful") != std::string::npos);
  CHECK(error("    cluster.profile: [dgx-h1000]\n").find("did you mean") != std::string::npos);
  CHECK(error("    workload.global_batch: [0]\n").find("global_batch") != std::string::npos);
  // At the range where one is wrong: its values stand nowhere.
  CHECK(error("    strategy.micro_bach: {powers_of_two: [1, 4]}\n").find("small.yaml:8:26: unknown key 'micro_bach'") ==
        0);
}

TEST_CASE("what is wrong beside the axes is named where it stands, whatever axis is looked at") {
  SpaceDocument wrong = document;
  wrong.text.replace(wrong.text.find("dgx-h100"), 8, "dgx-h10");
  PointEvaluator reader(wrong);
  CHECK(test::error_of([&] {
          reader.check_values();
        }).find("small.yaml:3:20: there is no hardware profile 'dgx-h10'") == 0);
}

TEST_CASE("an override of what an axis sets is refused: no point would see it") {
  const auto error = [](const std::string& axes, const std::string& set) {
    return test::error_of([&] { PointEvaluator(test::document_of(axes, {set})); });
  };
  CHECK(error(test::small_axes, "strategy.micro_batch=4")
            .find("--set strategy.micro_batch=4: every point has its own from the axis strategy.micro_batch") == 0);
  CHECK(error(test::small_axes, "workload.global_batch=64").empty());
  CHECK(error("    cluster: [{gpus: 8}, {gpus: 16}]\n", "cluster.gpus=32").find("from the axis cluster") !=
        std::string::npos);
  CHECK(error("    cluster: [{gpus: 8}, {profile: dgx-b200}]\n", "cluster.gpus=32").empty());  // the second's
}

TEST_CASE("a word that a condition's key could not have stops a sweep before it begins") {
  const ScratchFile file("words.csv");
  const auto error = [&](const std::string& condition) {
    return test::error_of(
        [&] { sweep_into(file, test::document_of(test::small_axes + "  where: [" + condition + "]\n"), 2); });
  };
  CHECK(error("strategy.framework != megatrom")
            .find("small.yaml:11:11: strategy.framework is 'megatrom'; did you mean 'megatron'?") == 0);
  CHECK(error("strategy.micro_batch != fals").find("small.yaml:11:11: strategy.micro_batch is 'fals'") == 0);
  CHECK(error("strategy.framework != fsdp").empty());  // which it could be
  CHECK(error("strategy.micro_batch > 2").find("small.yaml:11:11: no point meets this condition") == 0);
}

TEST_CASE("texts with commas and quotes survive in CSV") {
  const Space space(test::parsed(test::document_of("    cluster: [{profile: dgx-h100, gpus: 8}]\n")));
  Row row{0, {0}, PointStatus::infeasible, "so \"it\" is, really", {}};
  CHECK(csv_line(space, row).rfind(R"(0,"{profile: dgx-h100, gpus: 8}",infeasible,"so ""it"" is, really",)", 0) == 0);
  CHECK(csv_header(space).rfind("point,cluster,status,reason,iteration_time_s,", 0) == 0);
}
