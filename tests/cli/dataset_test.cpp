// `echelon dataset` as its user runs it, and as the machine under it stops it.
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "tests/catch.h"
#include "tests/cli/program.h"

using namespace echelon;

namespace {

const std::string spaces = std::string(ECHELON_SOURCE_DIR) + "/scenarios/spaces/";
const std::string sweep = std::string(ECHELON_SOURCE_DIR) + "/scenarios/sweeps/gpt3-175b-1024-a100.yaml";

std::string text_of(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

// What is written of a data set so far, packed or not.
double written(const std::filesystem::path& folder) {
  std::error_code none_yet;
  const auto points = std::filesystem::file_size(folder / "points.csv", none_yet);
  return none_yet ? 0 : static_cast<double>(points);
}

}  // namespace

TEST_CASE("a build that is killed goes on and ends with the same files") {
  const ScratchFolder scratch;
  const auto whole = scratch.path() / "whole";
  const auto killed = scratch.path() / "killed";
  const auto arguments = [](const std::filesystem::path& folder) {
    return std::vector<std::string>{"dataset", "build", sweep, "-o", folder.string(), "--threads", "2"};
  };
  const ProgramRun run = run_program(arguments(whole));
  CAPTURE(run.output);
  REQUIRE(run.exit_code == 0);
  CHECK(run.output.find("3,150 points of 3,888 combinations") != std::string::npos);
  const auto manifest = nlohmann::json::parse(text_of(whole / "manifest.json"));
  const auto size = manifest["points"]["unpacked_bytes"].get<double>();
  std::mt19937 random(20261121);
  int kills = 0;
  for (int i = 0; i < 8; ++i) {
    const double place = size * (i + static_cast<double>(random() % 1000) / 1000) / 9;
    kills += kill_program_when([&] { return written(killed) >= place; }, arguments(killed));
  }
  CHECK(kills >= 6);
  REQUIRE(run_program(arguments(killed)).exit_code == 0);
  for (const char* name : {"manifest.json", "points.csv.gz"}) {
    const bool same = text_of(killed / name) == text_of(whole / name);
    CHECK(same);
  }
  CHECK(run_program(arguments(killed)).output.find("complete already") != std::string::npos);
  CHECK(run_program({"dataset", "build", sweep, "-o", killed.string(), "--set", "cluster.gpus=512"}).exit_code == 2);
}

TEST_CASE("points of the data that ship are looked up") {
  const std::string folder = spaces + "llama3-70b-h100-b200";
  const ProgramRun one = run_program({"dataset", "query", folder, "point=0", "--json"});
  CAPTURE(one.output);
  REQUIRE(one.exit_code == 0);
  const auto row = nlohmann::json::parse(one.output.substr(0, one.output.find('\n')));
  CHECK(row["strategy.tensor_parallel"] == 1);
  CHECK(row["cluster"] == "{profile: dgx-h100, gpus: 512}");
  const ProgramRun some = run_program({"dataset", "query", folder, "tensor_parallel=8", "status=ok", "--limit", "2"});
  CHECK(some.output.find("the first 2 are shown") != std::string::npos);
  CHECK(run_program({"dataset", "query", folder, "tensor_parallel=3"}).exit_code == 2);
  CHECK(run_program({"dataset", "query", spaces}).output.find("holds no data set") != std::string::npos);
}

TEST_CASE("damaged data are told, never used") {
  const ScratchFolder scratch;
  const auto copy = scratch.path() / "copy";
  std::filesystem::copy(spaces + "llama3-70b-h100-b200", copy);
  std::filesystem::permissions(copy / "points.csv.gz", std::filesystem::perms::owner_write,
                               std::filesystem::perm_options::add);
  {
    std::fstream bytes(copy / "points.csv.gz", std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekp(1000);
    bytes.put('\0');
    bytes.put('\0');
  }
  for (const char* action : {"query", "rank"}) {
    const ProgramRun run = run_program({"dataset", action, copy.string()});
    CHECK(run.exit_code == 2);
    CHECK(run.output.find("points.csv.gz: is damaged: its SHA-256 is") != std::string::npos);
  }
}

TEST_CASE("methods are ranked on the data that ship") {
  const std::string folder = spaces + "llama3-70b-h100-b200";
  const ProgramRun run = run_program({"dataset", "rank", folder, "random", "descent", "--seeds", "9", "--json"});
  CAPTURE(run.output);
  REQUIRE(run.exit_code == 0);
  const auto json = nlohmann::json::parse(run.output);
  CHECK(json["methods"].size() == 2);
  CHECK(json["methods"][0]["searches"] == 9);
  CHECK(json["evaluations"].back() == 500);
  CHECK(json["methods"][0]["regret"].size() == json["evaluations"].size());
  const ProgramRun energy = run_program({"dataset", "rank", folder, "random", "--seeds", "2", "--objective", "energy"});
  CHECK(energy.output.find("Optimum by energy: point ") != std::string::npos);
  CHECK(run_program({"dataset", "rank", folder, "luck"}).output.find("expected one of: bounded,") != std::string::npos);
  CHECK(run_program({"dataset", "rank", folder, "--objective", "pareto"}).exit_code == 2);
}
