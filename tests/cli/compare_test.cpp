// `echelon compare` as its user runs it.
#include <nlohmann/json.hpp>

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
