// What a user gets wrong: each is refused with exit code 2, at its place, at once and in little memory.
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/cli/program.h"

using namespace echelon;

namespace {

// A scenario that runs, with one line exchanged.
std::string scenario(const std::string& line = "", const std::string& instead = "") {
  std::string text =
      "echelon: 1\n"
      "name: test\n"
      "model:\n"
      "  layers: 12\n"
      "  hidden: 768\n"
      "  heads: 12\n"
      "  vocabulary: 50304\n"
      "cluster:\n"
      "  profile: dgx-a100-80g\n"
      "  gpus: 8\n"
      "workload:\n"
      "  sequence_length: 1024\n"
      "  global_batch: 64\n"
      "  precision: bf16\n"
      "strategy:\n"
      "  framework: megatron\n"
      "  micro_batch: 1\n";
  if (line.empty()) return text;
  const std::size_t at = text.find(line);
  REQUIRE(at != std::string::npos);
  return text.replace(at, line.size(), instead);
}

struct BadText {
  const char* line;                // of the good scenario
  const char* instead;             // what stands there
  const char* place;               // ":line:column:" of the complaint
  std::vector<const char*> words;  // that the complaint has
};

void refuse(const std::vector<std::string>& arguments, const std::vector<const char*>& words) {
  const ProgramRun run = run_program(arguments);
  CAPTURE(arguments, run.output);
  CHECK(run.exit_code == 2);
  CHECK(run.seconds < 1);
  CHECK(run.megabytes < 200);
  for (const char* word : words) CHECK(run.output.find(word) != std::string::npos);
}

std::string random_bytes(std::size_t count) {
  std::mt19937_64 random(20260101);
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

std::string yaml_bomb() {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int level = 1; level < 12; ++level) {
    const std::string below = "*a" + std::to_string(level - 1);
    std::string items = below;
    for (int i = 1; i < 10; ++i) items += ", " + below;
    const std::string name = "a" + std::to_string(level);
    text += name + ": &" + name + " [" + items + "]\n";
  }
  return text;
}

}  // namespace

TEST_CASE("the scenario that the bad ones are made of runs") {
  const ScratchFolder scratch;
  const ProgramRun run = run_program({"run", scratch.file("good.yaml", scenario())});
  CAPTURE(run.output);
  CHECK(run.exit_code == 0);
}

TEST_CASE("a wrong line of a scenario is named with what would be right") {
  const std::vector<BadText> table = {
      {"  hidden: 768\n", "  hiden: 768\n", ":5:3:", {"hiden", "hidden"}},
      {"  hidden: 768\n", "  hidden: .nan\n", ":5:11:", {"hidden"}},
      {"  hidden: 768\n", "  hidden: .inf\n", ":5:11:", {"hidden"}},
      {"  hidden: 768\n", "  hidden: -768\n", ":5:11:", {"hidden"}},
      {"  hidden: 768\n", "  hidden: 1e400\n", ":5:11:", {"hidden"}},
      {"  hidden: 768\n", "  hidden: 99999999999999999999\n", ":5:11:", {"hidden"}},
      {"  hidden: 768\n", "  hidden: wide\n", ":5:11:", {"hidden"}},
      {"  hidden: 768\n", "  hidden: [768]\n", ":5:11:", {"hidden"}},
      {"  hidden: 768\n", "  hidden: 768\n  hidden: 768\n", ":6:3:", {"hidden"}},
      {"  hidden: 768\n", "", ":4:3:", {"hidden", "missing"}},
      {"  precision: bf16\n", "  precision: bf61\n", ":14:14:", {"bf61", "bf16"}},
      {"  profile: dgx-a100-80g\n", "  profile: dgx-a100-80\n", ":9:12:", {"dgx-a100-80g"}},
      {"strategy:\n", "stratgey:\n", ":15:1:", {"stratgey", "strategy"}},
      {"  global_batch: 64\n", "  global_batch: 0\n", ":13:17:", {"global_batch"}},
      {"  layers: 12\n", "  layers: 12: 13\n", ":4:", {}},
      {"  layers: 12\n", "  layers: &a [*a]\n", ":4:", {}},
  };
  const ScratchFolder scratch;
  for (const BadText& bad : table) {
    const std::string path = scratch.file("bad.yaml", scenario(bad.line, bad.instead));
    std::vector<const char*> words = bad.words;
    const std::string place = path + bad.place;
    words.push_back(place.c_str());
    refuse({"run", path}, words);
  }
}

TEST_CASE("a strategy that cannot be is refused with a number that can") {
  const ScratchFolder scratch;
  const std::string path = scratch.file("good.yaml", scenario());
  refuse({"run", path, "--set", "strategy.tensor_parallel=5"}, {"tensor_parallel"});
  refuse({"run", path, "--set", "strategy.tensor_parallel=2", "--set", "strategy.data_parallel=8"}, {"data_parallel"});
}

TEST_CASE("a workload that the strategy cannot run ends with 1 and a number that would do") {
  const ScratchFolder scratch;
  const std::string path = scratch.file("good.yaml", scenario());
  const auto refused = [&](std::vector<std::string> overrides, const char* words) {
    std::vector<std::string> arguments = {"run", path};
    for (std::string& text : overrides) {
      arguments.emplace_back("--set");
      arguments.push_back(std::move(text));
    }
    const ProgramRun run = run_program(arguments);
    CAPTURE(run.output);
    CHECK(run.exit_code == 1);
    CHECK(run.output.find(words) != std::string::npos);
  };
  refused({"strategy.micro_batch=3"}, "2 would do");
  refused({"strategy.pipeline_parallel=8", "model.layers=4"}, "4 would do");
  refused({"model.layers=13", "strategy.pipeline_parallel=2"}, "would do");
}

TEST_CASE("--set names what it does not know") {
  const ScratchFolder scratch;
  const std::string path = scratch.file("good.yaml", scenario());
  refuse({"run", path, "--set", "strategy.tensor_paralel=2"}, {"tensor_paralel", "tensor_parallel"});
  refuse({"run", path, "--set", "strategy.tensor_parallel=many"}, {"many"});
  refuse({"run", path, "--set", "strategy.tensor_parallel"}, {"strategy.tensor_parallel"});
}

TEST_CASE("files that are no scenarios") {
  const ScratchFolder scratch;
  refuse({"run", scratch.file("empty.yaml", "")}, {"empty.yaml"});
  refuse({"run", scratch.path().string()}, {"directory"});
  refuse({"run", (scratch.path() / "none.yaml").string()}, {"none.yaml"});
  constexpr std::size_t ten_megabytes = 10'000'000;
  refuse({"run", scratch.file("noise.yaml", random_bytes(ten_megabytes))}, {"noise.yaml"});
  refuse({"run", scratch.file("noise.yaml", random_bytes(100'000))}, {"noise.yaml"});
  refuse({"run", scratch.file("bomb.yaml", yaml_bomb())}, {"bomb.yaml"});
}

TEST_CASE("model shapes that are not whole") {
  const ScratchFolder scratch;
  const std::string by_file = scenario("model:\n  layers: 12\n  hidden: 768\n  heads: 12\n  vocabulary: 50304\n",
                                       "model:\n  huggingface: config.json\n");
  const std::string path = scratch.file("scenario.yaml", by_file);
  scratch.file("config.json", R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama"})");
  refuse({"run", path}, {"config.json:1:", "hidden_size"});
  scratch.file("config.json", R"({"model_type": "lama", "hidden_size": 64})");
  refuse({"run", path}, {"config.json:1:", "lama", "llama"});
  scratch.file("config.json", R"({"model_type": )");
  refuse({"run", path}, {"config.json:1:"});
}

TEST_CASE("truth tables") {
  const ScratchFolder scratch;
  const std::string head =
      "id,source,model,layers,hidden,heads,vocab,seq_len,gpu,gpus,gpus_per_node,dp,tp,pp,precision,micro_batch,"
      "global_batch,iter_time_s\n";
  const std::string row = "a-1,test,gpt,12,768,12,50304,1024,A100-SXM-80GB,8,8,8,1,1,bf16,1,64,0.5\n";
  refuse({"validate", scratch.file("short.csv", head + "a-1,test\n")}, {"short.csv:2:"});
  refuse({"validate", scratch.file("noise.csv", random_bytes(1'000'000))}, {"noise.csv"});
  refuse({"validate", scratch.path().string()}, {"directory"});
  refuse({"validate", scratch.file("empty.csv", "")}, {"empty.csv"});
  refuse({"validate", scratch.file("word.csv", head + "a-1,test,gpt,twelve" + row.substr(15))}, {"word.csv:2:"});
  std::string windows = "\xEF\xBB\xBF" + head + row;
  for (std::size_t at = 0; (at = windows.find('\n', at)) != std::string::npos; at += 2) windows.insert(at, "\r");
  const ProgramRun run = run_program({"validate", scratch.file("windows.csv", windows)});
  CAPTURE(run.output);
  CHECK(run.exit_code == 0);
}

TEST_CASE("logs that are none") {
  const ScratchFolder scratch;
  const std::string out = (scratch.path() / "out.yaml").string();
  const auto refuse_log = [&](const std::string& log, const std::string& profile,
                              const std::vector<const char*>& words) {
    refuse({"import", "nccl-tests", log, "--profile", profile, "-o", out}, words);
    CHECK_FALSE(std::filesystem::exists(out));
  };
  refuse_log(scratch.file("empty.txt", ""), "dgx-h100", {"empty.txt:1:", "all_reduce_perf"});
  refuse_log(scratch.path().string(), "dgx-h100", {"directory"});
  refuse_log((scratch.path() / "none.txt").string(), "dgx-h100", {"none.txt", "no such file"});
  refuse_log(scratch.file("noise.txt", random_bytes(1'000'000)), "dgx-h100", {"noise.txt:1:"});
  refuse_log(scratch.file("text.txt", "hello\n1024 256 float sum -1\n"), "dgx-h100", {"text.txt:2:", "cut short"});
  // 1.875 = 2 x 15 / 16: sixteen ranks, on a machine without a network.
  const std::string row = "1073741824 268435456 float sum -1 100000 10.74 20.13 0\n";
  refuse_log(scratch.file("far.txt", row), "pcie-8x-l40s", {"far.txt:1:", "no network"});
  refuse_log(scratch.file("far.txt", row), "dgx-h10", {"dgx-h100"});
  refuse({"import", "nccl-tests", scratch.file("far.txt", row), "--profile", "dgx-h100", "-o", out, "--ranks-per-node",
          "16"},
         {"far.txt:1:", "16 ranks a node"});
  refuse({"import", "nccl-tests", scratch.file("far.txt", row), "--profile", "dgx-h100", "-o", out, "--ranks-per-node",
          "0"},
         {"ranks-per-node"});
  refuse({"import", "nccl-tests", scratch.file("far.txt", row), "--profile", "dgx-h100", "-o",
          (scratch.path() / "no" / "such" / "folder.yaml").string()},
         {"folder that exists"});
  refuse({"import", "nccl-tests", scratch.file("far.txt", row), "--profile", "dgx-h100", "-o", out, "--ranks-per-node",
          "3"},
         {"far.txt:1:", "16 ranks do not fill nodes of 3", "divisor of 16"});
  const std::string node = ECHELON_SOURCE_DIR "/tests/data/nccl/dgxcloud-h100-nvlsharp-allreduce-8gpus.txt";
  refuse({"import", "nccl-tests", node, "--profile", "dgx-h100", "-o", out, "--ranks-per-node", "4"},
         {"8gpus.txt:", "shows 8 ranks a node", "--ranks-per-node says 4"});
  refuse({"import", "nccl-tests", node, "--profile", "dgx-h100", "-o", out, "--ranks-per-node", "16"},
         {"8gpus.txt:", "16 ranks a node"});
  // A broadcast alone does not tell how many ranks took part.
  refuse_log(scratch.file("root.txt", "1048576 262144 float none 0 100.0 10.49 10.49 0\n"), "dgx-h100",
             {"root.txt:1:", "how many ranks"});
}

TEST_CASE("commands and options") {
  refuse({"rnu"}, {"rnu: there is no such subcommand; did you mean 'run'?"});
  refuse({"dataset", "qury", "x"}, {"did you mean 'query'?"});
  // No misspelt subcommands.
  refuse({"-v"}, {"A subcommand is required"});
  refuse({"dataset", "-o", "x"}, {"A subcommand is required"});
  refuse({"-v", "run", "x.yaml"}, {"not expected: -v"});
  refuse({"run"}, {"scenario is required"});
  refuse({"run", "--jsn", "x.yaml"}, {"--jsn: there is no such option of run; did you mean '--json'?"});
  refuse({"search", "--objetive=cost", "x.yaml"}, {"did you mean '--objective'?"});
  refuse({"search", "x.yaml", "--seed", "-1"}, {"--seed: Value -1 not in range 0 to"});
  refuse({"search", "x.yaml", "--evaluations", "1.5"}, {"Value 1.5 is no integer from 1 to 1000000000"});
  refuse({"search", "x.yaml", "--max-gpus", "1e3"}, {"Value 1e3 is no integer"});
  refuse({"search", "x.yaml", "--threads", "2000"}, {"Value 2000 not in range 1 to 1024"});
  refuse({"search", "x.yaml", "--tokens", "0"}, {"--tokens: Value 0 is no number above 0"});
  refuse({"models", "llama-3.1-8"}, {"llama-3.1-8b"});
  refuse({"profiles", "dgx-h10"}, {"dgx-h100"});
  refuse({"profiles", "dgx-h100", "--collective", "allreduce"}, {"did you mean 'all_reduce'"});
  refuse({"profiles", "dgx-h100", "--collective", "reduce", "--algorithm", "rings"}, {"did you mean 'ring'"});
  refuse({"profiles", "dgx-h100", "--collective", "reduce", "--gpus", "12"}, {"expected a divisor of 12"});
  refuse({"profiles", "pcie-8x-l40s", "--collective", "reduce", "--gpus", "16"}, {"no network between nodes"});
  refuse({"profiles", "pcie-8x-l40s", "--collective", "reduce", "--gpus", "2", "--ranks-per-node", "1"},
         {"2 nodes, and profile pcie-8x-l40s has no network"});
}

TEST_CASE("a schedule that there is not, or not so") {
  refuse({"schedule", "zb_w"}, {"did you mean 'zb_v'?"});
  refuse({"schedule", "1f1b", "--chunks", "2"}, {"has one chunk a rank, not 2"});
  refuse({"schedule", "dualpipe", "--stages", "3"}, {"--stages 4 would do"});
  refuse({"schedule", "dualpipe", "--micro-batches", "3"}, {"--micro-batches 8 would do"});
  refuse({"schedule", "zb_v", "--chunks", "3"}, {"--chunks 2 would do"});
  refuse({"schedule", "gpipe", "--vocabulary", "vocab_1"}, {"--vocabulary none would do"});
  refuse({"schedule", "1f1b", "--costs", "1,-2"}, {"--costs"});
  refuse({"schedule", "1f1b", "--costs", "1,nan,1"}, {"--costs", "Value nan not in range 0 to 1e+09"});
  // Nothing is left unread.
  refuse({"schedule", "zb_v", "--slices", "2"}, {"zb_v does not read --slices; it is for seq1f1b, terapipe"});
  refuse({"schedule", "1f1b", "--group", "2"}, {"1f1b does not read --group; it is for interleaved, interleaved_zb"});
  refuse({"schedule", "interleaved", "--chunks", "2", "--group", "2"},
         {"fewer than the 4 ranks", "--group 4 would do"});
  refuse({"schedule", "zb_1p", "--memory-limit", "2"}, {"zb_1p does not read --memory-limit; it is for searched"});
  refuse({"schedule", "searched", "--memory-limit", "0.5"}, {"Value 0.5 not in range 1 to 1e+06"});
  refuse({"schedule", "--stages", "8"}, {"--stages requires name"});
  refuse({"schedule", "1f1b", "--stages", "4096", "--micro-batches", "100000"},
         {"more than 10000000 passes each way", "--micro-batches 2441 would do"});
  refuse({"compare", "x.yaml", "--deadline", "nan"}, {"--deadline", "Value nan is no number above 0"});
  refuse({"schedule", "--file", "/no/such.csv"}, {"no such file"});
  const ScratchFolder folder;
  refuse({"schedule", "--file", folder.file("random.csv", random_bytes(10'000'000))}, {"random.csv"});
  refuse({"schedule", "--file", folder.path()}, {"not a file but a directory"});
}

TEST_CASE("recompute and layers that cannot be") {
  const ScratchFolder folder;
  const auto with = [&](const std::string& line) {
    return folder.file("s.yaml", scenario("  micro_batch: 1\n", "  micro_batch: 1\n  " + line + "\n"));
  };
  refuse({"run", with("recompute: {kind: operators}")}, {"s.yaml:18:", "names no operators or modules"});
  refuse({"run", with("recompute: {kind: operators, operators: [norms]}")}, {"did you mean 'norm'?"});
  refuse({"run", with("recompute: {kind: operators, modules: [moe_acts]}")}, {"did you mean 'moe_act'?"});
  refuse({"run", with("recompute: {kind: full, operators: [norm]}")}, {"neither list for other kinds"});
  refuse({"run", with("stage_layers: [a]")}, {"s.yaml:18:"});
  refuse({"run", with("stage_layers: balance")}, {"s.yaml:18:"});
  refuse({"run", with("rank_layers: [[0-11], [1]]")},
         {"s.yaml:18:16:", "lists 2 ranks", "pipeline_parallel 2 would do"});
  refuse({"run", with("rank_layers: [[0-3, 3-11]]")}, {"s.yaml:18:23:", "layer 3 on rank 0 and on rank 0"});
  refuse({"run", with("rank_layers: [[0-3, 5-11]]")}, {"s.yaml:18:16:", "leaves out 4", "4 on rank 0 would do"});
  refuse({"run", with("rank_layers: [[0-12]]")}, {"s.yaml:18:18:", "names layer 12", "layers 0 to 11 would do"});
  refuse({"run", with("rank_layers: [[0-x]]")}, {"s.yaml:18:18:", "such as 4-7"});
  refuse({"run", with("rank_layers: [[11-0]]")}, {"s.yaml:18:18:", "expected 0-11"});
  refuse({"run", with("rank_layers: [0-11]")}, {"s.yaml:18:17:"});
}
