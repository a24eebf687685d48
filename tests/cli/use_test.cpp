// What a user does right.
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/catch.h"
#include "tests/cli/program.h"

using namespace echelon;

namespace {

const std::string source = ECHELON_SOURCE_DIR;
const std::string published = source + "/scenarios/published/";

}  // namespace

TEST_CASE("run --json prints the fields that other tools read") {
  const ProgramRun run = run_program({"run", published + "megatron-sc21-175b.yaml", "--json"});
  REQUIRE(run.exit_code == 0);
  const auto json = nlohmann::json::parse(run.output);
  for (const char* field :
       {"iteration_time_s", "iteration_time_low_s", "iteration_time_high_s", "tokens_per_s", "tokens_per_s_per_gpu",
        "samples_per_s", "mfu", "hfu", "bubble_fraction", "time_breakdown_s", "memory", "provenance"})
    CHECK(json.contains(field));
  double sum = 0;
  for (const auto& part : json["time_breakdown_s"]) sum += part.get<double>();
  CHECK(sum == Approx(json["iteration_time_s"].get<double>()));
}

TEST_CASE("what is computed again comes on top of what is useful") {
  // Llama 3.1 8B with selective recompute, whose kernels skip the masked half of attention: 11 % of the time
  // recomputes.
  const ProgramRun run = run_program({"run", published + "torchtitan-llama3-8b.yaml", "--json"});
  REQUIRE(run.exit_code == 0);
  const auto json = nlohmann::json::parse(run.output);
  CHECK(json["hfu"] > 1.1 * json["mfu"].get<double>());
}

TEST_CASE("run ends with 1 where the whole run would never end") {
  const ProgramRun run =
      run_program({"run", published + "torchtitan-llama3-8b.yaml", "--set",
                   "training_run={tokens: 1e12, failures_per_1000_node_days: 1e9, storage_gb_s: 1}"});
  CAPTURE(run.output);
  CHECK(run.exit_code == 1);
  CHECK(run.output.find("never done") != std::string::npos);
  CHECK(run.output.find("inf") == std::string::npos);
  CHECK(run.output.find("nan") == std::string::npos);
}

TEST_CASE("run names the rank that sets the pace, the same for any number of threads") {
  const std::string file = source + "/scenarios/examples/llama3-70b-straggler.yaml";
  const ProgramRun page = run_program({"run", file});
  CHECK(page.exit_code == 0);
  CHECK(page.output.find("set by rank 75 (dp 1 tp 3 pp 2 cp 0) in 50 of 50 runs") != std::string::npos);
  const ProgramRun one = run_program({"run", file, "--json", "--replay", "full", "--threads", "1"});
  CHECK(nlohmann::json::parse(one.output)["ranks"]["pace"]["coordinates"]["pp"] == 2);
  CHECK(run_program({"run", file, "--json", "--threads", "3"}).output == one.output);
  CHECK(!nlohmann::json::parse(run_program({"run", file, "--json", "--replay", "folded"}).output).contains("ranks"));
}

TEST_CASE("run --strict refuses what has no measured ground") {
  const ProgramRun run = run_program({"run", published + "deepseek-v3-gb200.yaml", "--strict"});
  CAPTURE(run.output);
  CHECK(run.exit_code != 0);
  CHECK(run.output.find("measured") != std::string::npos);
}

TEST_CASE("run --operators shows where the time of a layer comes from") {
  const ProgramRun run = run_program({"run", published + "korthikanti-175b.yaml", "--operators"});
  CHECK(run.exit_code == 0);
  CHECK(run.output.find("attention_output") != std::string::npos);
}

TEST_CASE("run --sensitivity shows what to pay for") {
  const std::string file = published + "megatron-sc21-175b.yaml";
  const ProgramRun run = run_program({"run", file, "--sensitivity"});
  CHECK(run.exit_code == 0);
  CHECK(run.output.find("What the time hangs on") != std::string::npos);
  const auto json = nlohmann::json::parse(run_program({"run", file, "--sensitivity", "--json"}).output);
  REQUIRE(json["sensitivity"].size() == 7);
  CHECK(json["sensitivity"][0]["number"] == "peak");
  CHECK(json["sensitivity"][0]["elasticity"].get<double>() < -0.3);
}

TEST_CASE("the help of a group of commands has an example of it") {
  for (const std::string group : {"dataset", "import"})
    CHECK(run_program({group, "--help"}).output.find("Example: echelon " + group) != std::string::npos);
}

TEST_CASE("a collective by size says what runs, as chosen and as forced") {
  const auto rows = [](std::vector<std::string> more) {
    std::vector<std::string> arguments{"profiles", "dgx-h100", "--collective", "all_reduce", "--gpus", "16", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return nlohmann::json::parse(run_program(arguments).output);
  };
  const auto chosen = rows({});
  CHECK(chosen.front()["bytes"] == 8);
  CHECK(chosen.back()["bytes"] == 8589934592);
  CHECK(chosen.front()["protocol"] == "ll");
  const auto ring = rows({"--algorithm", "ring", "--protocol", "simple"});
  REQUIRE(ring.size() == chosen.size());
  for (std::size_t i = 0; i < ring.size(); ++i) {
    CHECK(ring[i]["algorithm"] == "ring");
    CHECK(ring[i]["time_s"] >= chosen[i]["time_s"]);
    // 2 (n - 1) / n of 16 ranks.
    CHECK(ring[i]["bus_bandwidth_b_s"].get<double>() ==
          Approx(1.875 * ring[i]["algorithm_bandwidth_b_s"].get<double>()));
  }
  const ProgramRun page =
      run_program({"profiles", "dgx-h100", "--collective", "all_gather", "--gpus", "8", "--algorithm", "tree"});
  CHECK(page.output.find("8589934592") != std::string::npos);
  CHECK(page.output.find("cannot run so") != std::string::npos);
  const ProgramRun json = run_program(
      {"profiles", "dgx-h100", "--collective", "all_gather", "--gpus", "8", "--algorithm", "tree", "--json"});
  const std::size_t note = json.output.find("This collective cannot run so");
  REQUIRE(note != std::string::npos);
  CHECK(nlohmann::json::parse(json.output.substr(0, note)).back()["bytes"] == 8589934592);  // stdout alone
}

TEST_CASE("models and profiles are listed and shown") {
  for (const char* command : {"models", "profiles"}) CHECK(run_program({command}).exit_code == 0);
  CHECK(run_program({"models", "llama-3.1-8b"}).output.find("8.030") != std::string::npos);
  CHECK(run_program({"profiles", "dgx-h100"}).output.find("H100") != std::string::npos);
}

TEST_CASE("a profile's topology is shown, as JSON too, and drawn") {
  const ProgramRun text = run_program({"profiles", "dgx-h100", "--topology", "--gpus", "64"});
  CHECK(text.exit_code == 0);
  CHECK(text.output.find("8 x nvswitch, rail_optimised: 64 GPUs") != std::string::npos);
  const ProgramRun json = run_program({"profiles", "pcie-8x-l40s", "--topology", "--json"});
  CHECK(nlohmann::json::parse(json.output)["vertices"].size() == 12);
  const std::string picture = (std::filesystem::temp_directory_path() / "echelon_topology.svg").string();
  CHECK(run_program({"profiles", "dgx1-v100-32g", "--svg", picture}).exit_code == 0);
  std::ostringstream svg;
  svg << std::ifstream(picture).rdbuf();
  CHECK(svg.str().find("</svg>") != std::string::npos);
  CHECK(run_program({"profiles", "pcie-8x-l40s", "--topology", "--gpus", "16"}).exit_code == 2);
}

TEST_CASE("run --network flow sends collectives over the cluster's links") {
  const ProgramRun run = run_program({"run", published + "torchtitan-llama3-8b.yaml", "--network", "flow"});
  CHECK(run.exit_code == 0);
  CHECK(run.output.find("packed ranks on shared links") != std::string::npos);
  const ProgramRun wrong = run_program({"run", published + "torchtitan-llama3-8b.yaml", "--network", "flows"});
  CHECK(wrong.exit_code == 2);
  CHECK(wrong.output.find("cluster.network=flows") != std::string::npos);
}

TEST_CASE("validate filters, and prints JSON and Markdown") {
  const std::string table = source + "/scenarios/truth/torchtitan.csv";
  const ProgramRun run = run_program({"validate", table, "--filter", "pp=1", "--json"});
  REQUIRE(run.exit_code == 0);
  const auto json = nlohmann::json::parse(run.output);
  CHECK(json["rows"].size() > 5);
  CHECK(run_program({"validate", table, "--markdown"}).output.rfind("| rows", 0) == 0);
}

TEST_CASE("data are found by name through ECHELON_DATA") {
  const ScratchFolder scratch;
  std::filesystem::create_directories(scratch.path() / "hardware_profiles");
  std::filesystem::copy(source + "/hardware_profiles/dgx-h100.yaml",
                        scratch.path() / "hardware_profiles" / "my-own-box.yaml");
  const ProgramRun run = run_program({"profiles", "my-own-box"}, "/", scratch.path().string());
  CAPTURE(run.output);
  CHECK(run.exit_code == 0);
}

TEST_CASE("nccl-tests logs become a profile that loads, and a picture") {
  const ScratchFolder scratch;
  const std::string log = source + "/tests/data/nccl/dgxcloud-h100-nvlsharp-allreduce-8gpus.txt";
  const std::string yaml = (scratch.path() / "hardware_profiles" / "fitted.yaml").string();
  const std::string plot = (scratch.path() / "fitted.svg").string();
  std::filesystem::create_directories(scratch.path() / "hardware_profiles");
  const ProgramRun run =
      run_program({"import", "nccl-tests", log, "--profile", "dgx-h100", "-o", yaml, "--plot", plot});
  CAPTURE(run.output);
  REQUIRE(run.exit_code == 0);
  CHECK(run.output.find("| all_reduce | 8 x 1 | 32 |") != std::string::npos);
  std::ostringstream picture;
  picture << std::ifstream(plot).rdbuf();
  CHECK(picture.str().find("</svg>") != std::string::npos);
  const ProgramRun shown = run_program({"profiles", "fitted"}, "/", scratch.path().string());
  CAPTURE(shown.output);
  REQUIRE(shown.exit_code == 0);
  CHECK(shown.output.find("32 rows of dgxcloud-h100-nvlsharp-allreduce-8gpus.txt") != std::string::npos);
  // The log's own 8 GiB row shows 480 GB/s.
  const std::size_t at = shown.output.find("nvls_bus_gb_s: ");
  REQUIRE(at != std::string::npos);
  CHECK(std::stod(shown.output.substr(at + 15)) == Approx(480).epsilon(0.03));
}

TEST_CASE("schedule draws, writes and reads what it wrote") {
  const ProgramRun drawn = run_program({"schedule", "1f1b", "--stages", "2", "--micro-batches", "2"});
  CAPTURE(drawn.output);
  CHECK(drawn.exit_code == 0);
  CHECK(drawn.output.find("rank 0  F0F1....B0==..B1==\n") != std::string::npos);  // no colours beside a pipe
  const ScratchFolder folder;
  const std::string csv = folder.path() / "schedule.csv";
  const std::string svg = folder.path() / "schedule.svg";
  CHECK(run_program({"schedule", "zb_v", "--csv", csv, "--communication", "--svg", svg}).exit_code == 0);
  const ProgramRun read = run_program({"schedule", "--file", csv, "--json"});
  REQUIRE(read.exit_code == 0);
  const auto json = nlohmann::json::parse(read.output);
  CHECK(json["makespan"] == 25.5);
  CHECK(json["span"] == 24);
  CHECK(run_program({"schedule"}).output.find("chimera") != std::string::npos);
}

TEST_CASE("what a strategy leaves open is decided, and said") {
  const auto says = [](std::vector<std::string> sets, const std::string& words) {
    std::vector<std::string> arguments = {"run", published + "korthikanti-175b.yaml"};
    for (const std::string& set : sets) arguments.insert(arguments.end(), {"--set", "strategy." + set});
    const ProgramRun run = run_program(arguments);
    CAPTURE(run.output);
    CHECK(run.exit_code == 0);
    CHECK(run.output.find(words) != std::string::npos);
  };
  says({"recompute=auto"}, "recompute selective, the least that fits");
  says({"recompute=auto", "micro_batch=4"}, "recompute full of 4 layers of each chunk, the least that fits");
  says({"stage_layers=balanced"}, "layers on stages, balanced by predicted time: [4, 4, ");
}

TEST_CASE("a schedule from a file runs as its name does") {
  const ScratchFolder folder;
  const std::string csv = folder.path() / "own.csv";
  REQUIRE(run_program({"schedule", "zb_v", "--stages", "4", "--micro-batches", "8", "--csv", csv}).exit_code == 0);
  std::ofstream(folder.path() / "own.yaml") << "echelon: 1\n"
                                               "model: {name: llama-3.1-8b}\n"
                                               "cluster: {profile: dgx-h100, gpus: 4}\n"
                                               "workload: {sequence_length: 4096, global_batch: 8}\n"
                                               "strategy: {pipeline_parallel: 4, micro_batch: 1, schedule: zb_v}\n";
  const auto iteration = [&](const std::vector<std::string>& sets) {
    std::vector<std::string> arguments = {"run", folder.path() / "own.yaml", "--json"};
    for (const std::string& set : sets) arguments.insert(arguments.end(), {"--set", set});
    const ProgramRun run = run_program(arguments);
    CAPTURE(run.output);
    REQUIRE(run.exit_code == 0);
    return nlohmann::json::parse(run.output)["iteration_time_s"].get<double>();
  };
  CHECK(iteration({"strategy.schedule_file=own.csv"}) == iteration({}));

  const auto refused = [&](const std::string& set, const std::string& words) {
    const ProgramRun run =
        run_program({"run", folder.path() / "own.yaml", "--set", "strategy.schedule_file=own.csv", "--set", set});
    CAPTURE(run.output);
    CHECK(run.exit_code != 0);
    CHECK(run.output.find(words) != std::string::npos);
  };
  refused("workload.global_batch=16", "schedules 8 micro-batches, not 16; global_batch 8 would do");
  refused("strategy.pipeline_parallel=2", "pipeline_parallel 4 would do");
  std::ofstream(folder.path() / "own.csv", std::ios::app) << "0F0\n";
  refused("workload.global_batch=8", "own.csv:5:1");
}

TEST_CASE("asynchronous schedules leave no bubble and keep older weights") {
  const auto result = [](const std::string& schedule) {
    const ProgramRun run =
        run_program({"run", published + "megatron-sc21-175b.yaml", "--json", "--set", "strategy.virtual_stages=1",
                     "--set", "strategy.sharding=none", "--set", "strategy.schedule=" + schedule});
    CAPTURE(run.output);
    REQUIRE(run.exit_code <= 1);  // memory may lack
    return nlohmann::json::parse(run.output);
  };
  const auto flushed = result("1f1b");
  const auto doubled = result("pipedream_2bw");
  CHECK(doubled["bubble_fraction"].get<double>() == 0);
  // Without the bubble of (p - 1) micro-batches (arXiv:2006.09503, section 3.1), and no other change.
  CHECK(doubled["iteration_time_s"].get<double>() ==
        Approx(flushed["iteration_time_s"].get<double>() - flushed["time_breakdown_s"]["bubble"].get<double>())
            .epsilon(0.02));
  const auto weights = [](const nlohmann::json& json, std::size_t stage) {
    return json["memory"]["per_stage"][stage]["by_category"]["parameters"].get<double>();
  };
  CHECK(weights(doubled, 0) == Approx(2 * weights(flushed, 0)));
  const auto stashed = result("pipedream");
  const std::size_t stages = flushed["memory"]["per_stage"].size();
  CHECK(weights(stashed, 0) == Approx(static_cast<double>(stages) * weights(flushed, 0)));
  CHECK(weights(stashed, stages - 1) == Approx(weights(flushed, stages - 1)));
}
