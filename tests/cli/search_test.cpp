// `echelon search` as its user runs it.
#include <nlohmann/json.hpp>

#include "tests/catch.h"
#include "tests/cli/program.h"

using namespace echelon;

namespace {

const std::string scenario = std::string(ECHELON_SOURCE_DIR) + "/scenarios/sweeps/gpt3-175b-1024-a100.yaml";

}  // namespace

TEST_CASE("search finds what sweep finds, and run agrees") {
  const ProgramRun run = run_program({"search", scenario, "--json"});
  CAPTURE(run.output);
  REQUIRE(run.exit_code == 0);
  const auto json = nlohmann::json::parse(run.output);
  REQUIRE(json["found"].size() == 1);
  const ProgramRun sweep = run_program({"sweep", scenario});
  const std::string best = "best by tokens_per_s: point " + json["found"][0]["point"].dump() + ",";
  CHECK(sweep.output.find(best) != std::string::npos);
  std::vector<std::string> arguments = {"run", scenario, "--json"};
  for (const auto& set : json["found"][0]["set"]) arguments.insert(arguments.end(), {"--set", set.get<std::string>()});
  const auto result = nlohmann::json::parse(run_program(arguments).output);
  CHECK(result["iteration_time_s"] == json["found"][0]["iteration_time_s"]);
}

TEST_CASE("search refuses methods and objectives that are none, and tells where nothing runs") {
  CHECK(run_program({"search", scenario, "--method", "luck"}).output.find("expected one of: bounded, exhaustive,") !=
        std::string::npos);
  CHECK(run_program({"search", scenario, "--objective", "fame"}).exit_code == 2);
  const ProgramRun none = run_program({"search", scenario, "--set", "cluster.gpus=8"});
  CAPTURE(none.output);
  CHECK(none.exit_code == 1);
  CHECK(none.output.find("No point") != std::string::npos);
  CHECK(run_program({"search", std::string(ECHELON_SOURCE_DIR) + "/scenarios/published/bloom-176b.yaml"}).exit_code ==
        2);
}
