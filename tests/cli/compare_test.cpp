// `echelon compare` as its user runs it.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/catch.h"
#include "tests/cli/program.h"

using namespace echelon;

namespace {

const std::string source = ECHELON_SOURCE_DIR;
const std::string lists = source + "/scenarios/sweeps/compare-h100-b200.yaml";

}  // namespace

TEST_CASE("compare holds the variants of one scenario against each other") {
  const ProgramRun run = run_program({"compare", lists, "--metric", "usd_per_billion_tokens", "--json"});
  CAPTURE(run.output);
  REQUIRE(run.exit_code == 0);
  const auto json = nlohmann::json::parse(run.output);
  REQUIRE(json["candidates"].size() == 4);
  std::string cheapest;
  double least = 1e30;
  for (const auto& candidate : json["candidates"]) {
    const double cost = candidate["result"]["usd_per_billion_tokens"];
    if (cost >= least) continue;
    least = cost;
    cheapest = candidate["name"];
  }
  CHECK(json["best"] == cheapest);
  CHECK(json["differences"].size() == 3);
}

TEST_CASE("compare takes files, and explains why one is faster") {
  const std::string file = source + "/scenarios/published/megatron-sc21-175b.yaml";
  const ProgramRun run = run_program({"compare", file, source + "/scenarios/published/korthikanti-175b.yaml"});
  CAPTURE(run.output);
  CHECK(run.exit_code == 0);
  CHECK(run.output.find("Best by tokens_per_s: ") != std::string::npos);
  CHECK(run.output.find("recompute time fell") != std::string::npos);
}

TEST_CASE("compare refuses a metric that is none") {
  const ProgramRun run = run_program({"compare", lists, "--metric", "speed"});
  CHECK(run.exit_code == 2);
  CHECK(run.output.find("expected one of: iteration_time_s, tokens_per_s,") != std::string::npos);
}

TEST_CASE("compare writes a page, and nothing beyond a limit is the best") {
  const std::string page = (std::filesystem::temp_directory_path() / "echelon_compare_test.html").string();
  const ProgramRun free = run_program({"compare", lists, "--tokens", "1e12", "--json"});
  REQUIRE(free.exit_code == 0);
  const auto json = nlohmann::json::parse(free.output);
  double fastest = 1e30;
  double slowest = 0;
  for (const auto& candidate : json["candidates"]) {
    const double days = candidate["training_run"]["days"];
    fastest = std::min(fastest, days);
    slowest = std::max(slowest, days);
  }
  const ProgramRun run = run_program(
      {"compare", lists, "--tokens", "1e12", "--deadline", std::to_string((fastest + slowest) / 2), "--report", page});
  CAPTURE(run.output);
  CHECK(run.exit_code == 0);
  CHECK(run.output.find("within the limits") != std::string::npos);
  CHECK(run.output.find("breaks a limit: the run takes") != std::string::npos);
  std::ostringstream text;
  text << std::ifstream(page).rdbuf();
  std::filesystem::remove(page);
  CHECK(text.str().find("<td>run, days</td>") != std::string::npos);
  CHECK(text.str().find("256 B200, tp8 pp4") != std::string::npos);
  const ProgramRun none =
      run_program({"compare", lists, "--tokens", "1e12", "--deadline", std::to_string(fastest / 2)});
  CHECK(none.exit_code == 1);
  CHECK(run_program({"compare", lists, "--report", "/no/such/folder/page.html"}).exit_code == 2);
}
