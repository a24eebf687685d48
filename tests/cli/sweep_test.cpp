// `echelon sweep` as its user runs it, and as the machine under it stops it.
#include <fstream>
#include <random>
#include <sstream>

#include "tests/catch.h"
#include "tests/cli/program.h"

using namespace echelon;

namespace {

const std::string scenario = std::string(ECHELON_SOURCE_DIR) + "/scenarios/sweeps/gpt3-175b-1024-a100.yaml";

std::string text_of(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

// Kills a sweep at 20 random moments, lets it end, and compares its file with one that was left in peace.
void check_kills(const std::string& name) {
  const ScratchFolder folder;
  const std::string whole = folder.path() / ("whole" + name);
  const std::string killed = folder.path() / ("killed" + name);
  const auto arguments = [](const std::string& file) {
    return std::vector<std::string>{"sweep", scenario, "-o", file, "--threads", "2"};
  };
  const ProgramRun run = run_program(arguments(whole));
  REQUIRE(run.exit_code == 0);
  // Each kill comes at a random place of the next 21st part of the file, whatever the speed of the machine.
  std::mt19937 random(20261121);
  const auto size = static_cast<double>(std::filesystem::file_size(whole));
  int kills = 0;
  for (int i = 0; i < 20; ++i) {
    const double place = size * (i + static_cast<double>(random() % 1000) / 1000) / 21;
    const auto due = [&] {
      std::error_code none_yet;
      const auto written = std::filesystem::file_size(killed, none_yet);
      return !none_yet && static_cast<double>(written) >= place;
    };
    kills += kill_program_when(due, arguments(killed));
  }
  CHECK(kills >= 18);
  REQUIRE(run_program(arguments(killed)).exit_code == 0);
  const bool same = text_of(killed) == text_of(whole);
  CHECK(same);
}

}  // namespace

TEST_CASE("a sweep that is killed at 20 random moments goes on and loses nothing: CSV") {
  check_kills(".csv");
}

TEST_CASE("a sweep that is killed at 20 random moments goes on and loses nothing: JSON Lines") {
  check_kills(".jsonl");
}

TEST_CASE("sweep prints rows on standard output, and what was best beside them") {
  const ScratchFolder folder;
  const std::string file = folder.file("tiny.yaml", R"(echelon: 1
model: {layers: 4, hidden: 512, heads: 8, vocabulary: 1000}
cluster: {profile: dgx-h100, nodes: 1}
workload: {sequence_length: 512, global_batch: 16}
strategy: {data_parallel: auto}
sweep: {axes: {strategy.micro_batch: [1, 2, 3]}}
)");
  const ProgramRun run = run_program({"sweep", file});
  CAPTURE(run.output);
  CHECK(run.exit_code == 0);
  CHECK(run.output.rfind("point,strategy.micro_batch,status,reason,iteration_time_s,", 0) == 0);
  CHECK(run.output.find("\n2,3,infeasible,") != std::string::npos);
  CHECK(run.output.find("2 run, 0 do not fit, 1 are infeasible") != std::string::npos);
  CHECK(run.output.find("--set 'strategy.micro_batch=2'") != std::string::npos);
  CHECK(run_program({"sweep", file, "-o", (folder.path() / "x.txt").string()}).exit_code == 2);
  CHECK(run_program({"run", file}).exit_code == 0);  // the scenario itself, without its space
}

TEST_CASE("sweep refuses conditions that contradict each other, and a metric that is none, and leaves no file") {
  const ScratchFolder folder;
  const std::filesystem::path rows = folder.path() / "rows.csv";
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& words) {
    const ProgramRun run = run_program(arguments);
    CAPTURE(run.output);
    CHECK(run.exit_code == 2);
    CHECK(run.output.find(words) != std::string::npos);
    CHECK(!std::filesystem::exists(rows));
  };
  const std::string where = "sweep.where=[strategy.micro_batch > 2, strategy.micro_batch < 2]";
  refused({"sweep", scenario, "-o", rows.string(), "--set", where},
          "no point meets this condition and those before it");
  refused({"search", scenario, "--set", where}, "no point meets this condition and those before it");
  refused({"sweep", scenario, "-o", rows.string(), "--metric", "mfuu"}, "did you mean 'mfu'?");
}

TEST_CASE("a sweep that goes on says that what was best is so of the rest alone") {
  const ScratchFolder folder;
  const std::string file = folder.file("tiny.yaml", R"(echelon: 1
model: {layers: 4, hidden: 512, heads: 8, vocabulary: 1000}
cluster: {profile: dgx-h100, nodes: 1}
workload: {sequence_length: 512, global_batch: 16}
strategy: {data_parallel: auto}
sweep: {axes: {strategy.micro_batch: [2, 1]}}
)");
  const std::filesystem::path rows = folder.path() / "rows.csv";
  const std::vector<std::string> arguments = {"sweep", file, "-o", rows.string()};
  CHECK(run_program(arguments).output.find("best by tokens_per_s: point 0") != std::string::npos);
  const std::string whole = text_of(rows);
  std::filesystem::resize_file(rows, whole.size() - 5);  // as if killed in the last row
  const ProgramRun rest = run_program(arguments);
  CAPTURE(rest.output);
  CHECK(rest.output.find("1 more points") != std::string::npos);
  CHECK(rest.output.find("best of these by tokens_per_s: point 1") != std::string::npos);
  CHECK(text_of(rows) == whole);
  CHECK(run_program(arguments).output.find("every point was in the file already") != std::string::npos);
}
