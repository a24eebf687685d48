// echelon calibrate without a GPU, and profiles side by side.
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/calibrate/synthetic_sweep.h"
#include "tests/catch.h"
#include "tests/cli/program.h"

using namespace echelon;

namespace {

std::string samples_in(const ScratchFolder& folder) {
  std::string text = csv_head(known_origin());
  for (const Sample& sample : synthetic_sweep(Scope::quick).samples) text += to_csv_row(sample);
  return folder.file("samples.csv", text);
}

}  // namespace

TEST_CASE("calibrate says that there is no CUDA device") {
  setenv("CUDA_VISIBLE_DEVICES", "-1", 1);  // also where there is one
  const ScratchFolder folder;
  const ProgramRun run = run_program({"calibrate", "--quick", "-o", (folder.path() / "out.yaml").string()});
  unsetenv("CUDA_VISIBLE_DEVICES");
  CAPTURE(run.output);
  CHECK(run.exit_code == 2);
  CHECK(run.output.find("no CUDA device") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(folder.path() / "out.yaml"));
}

TEST_CASE("calibrate refuses families that there are not and places that cannot be written") {
  const ScratchFolder folder;
  const std::string out = (folder.path() / "out.yaml").string();
  CHECK(run_program({"calibrate", "-o", out, "--only", "gem"}).output.find("one of launch, memory") !=
        std::string::npos);
  CHECK(run_program({"calibrate", "-o", "/nowhere/out.yaml"}).exit_code == 2);
  CHECK(run_program({"calibrate", "-o", out, "--fit-only", "/nowhere.csv"}).exit_code == 2);
  CHECK(run_program({"calibrate", "-o", out, "--quick", "--thorough"}).exit_code == 2);
}

TEST_CASE("calibrate --fit-only turns samples into a profile that runs, needing no GPU") {
  const ScratchFolder folder;
  const std::string yaml = (folder.path() / "mine.yaml").string();
  const std::string samples = samples_in(folder);
  const ProgramRun run = run_program({"calibrate", "--fit-only", samples, "-o", yaml, "--json"});
  CAPTURE(run.output);
  REQUIRE(run.exit_code == 0);
  const auto json = nlohmann::json::parse(run.output);
  CHECK(json["curves"][0]["curve"] == "gemm bf16");
  CHECK(json["worst"].size() == 10);
  const ProgramRun shown = run_program({"profiles", yaml});
  CHECK(shown.output.find("host: \"node7\"") != std::string::npos);
  const std::string scenario = std::string(ECHELON_SOURCE_DIR) + "/scenarios/published/torchtitan-llama3-8b.yaml";
  const ProgramRun step = run_program({"run", scenario, "--set", "cluster.profile=" + yaml, "--json"});
  CAPTURE(step.output);
  CHECK(step.exit_code == 0);
  // A path that is typed is seen from where one is, not from the scenario.
  CHECK(run_program({"run", scenario, "--set", "cluster.profile=mine.yaml", "--json"}, folder.path()).exit_code == 0);
}

TEST_CASE("calibrate writes what was measured of attention, experts, overlap and the host into the profile") {
  const ScratchFolder folder;
  const std::string yaml = (folder.path() / "mine.yaml").string();
  const ProgramRun run = run_program({"calibrate", "--fit-only", samples_in(folder), "-o", yaml});
  CAPTURE(run.output);
  REQUIRE(run.exit_code == 0);
  CHECK(run.output.find("attention cudnn backward") != std::string::npos);
  CHECK(run.output.find("furthest off, held out: ") != std::string::npos);
  std::ostringstream text;
  text << std::ifstream(yaml).rdbuf();
  for (const char* key : {"implementation: cudnn", "grouped_factor: 1.", "overlap_slowdown_ratio: 1.15", "link_gb_s: 5",
                          "cudnn: \"9.19.0\""}) {
    CAPTURE(key);
    CHECK(text.str().find(key) != std::string::npos);
  }
}

TEST_CASE("import gemm-table is another name of import kernels") {
  const ScratchFolder folder;
  const std::string table = std::string(ECHELON_SOURCE_DIR) + "/tests/data/kernels/gemm_h100.csv";
  const std::string yaml = (folder.path() / "h100.yaml").string();
  const ProgramRun run = run_program({"import", "gemm-table", table, "--profile", "dgx-h100", "-o", yaml});
  CAPTURE(run.output);
  CHECK(run.exit_code == 0);
  CHECK(run.output.find("furthest off, held out: bf16 product") != std::string::npos);
  CHECK(std::filesystem::exists(yaml));
}

TEST_CASE("profiles --diff shows what differs between two, line by line") {
  const ProgramRun same = run_program({"profiles", "dgx-h100", "--diff", "dgx-h100"});
  CHECK(same.exit_code == 0);
  CHECK(same.output.find("no difference") != std::string::npos);
  const ProgramRun run = run_program({"profiles", "dgx-h100", "--diff", "hgx-h200"});
  CAPTURE(run.output);
  CHECK(run.exit_code == 0);
  CHECK(run.output.find("device.datasheet.memory_bandwidth_gb_s") != std::string::npos);
  CHECK(run.output.find("+43.3 %") != std::string::npos);  // 4800 over 3350 GB/s
  const auto json = nlohmann::json::parse(run_program({"profiles", "dgx-h100", "--diff", "hgx-h200", "--json"}).output);
  CHECK(json.at("numbers").size() > 5);
  CHECK(json.at("times").size() > 5);
  CHECK(run_program({"profiles", "--diff", "hgx-h200"}).exit_code == 2);
}
