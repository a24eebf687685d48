// Pipeline stages of unlike tensor degrees, from document to result.
#include <algorithm>

#include "sim/app/simulate.h"
#include "strategies/mesh.h"
#include "tests/app/scenario_text.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

// GPT of 8 layers, dp 2 and four stages.
Scenario scenario(const std::string& tensor, std::int64_t nodes, const std::vector<std::string>& overrides = {}) {
  const std::string text =
      "echelon: 1\n"
      "model: {layers: 8, hidden: 2048, heads: 16, vocabulary: 51200}\n"
      "cluster: {profile: dgx-h100, nodes: " +
      std::to_string(nodes) +
      "}\n"
      "workload: {sequence_length: 2048, global_batch: 16, precision: bf16}\n"
      "strategy: {framework: megatron, data_parallel: 2, pipeline_parallel: 4, micro_batch: 1, "
      "sharding: zero1, overlap_gradient_reduce: true, tensor_parallel: " +
      tensor + "}\n";
  return testing::scenario_from_text(text, overrides);
}

Result result_of(const Scenario& of, ReplayKind kind = ReplayKind::folded) {
  const auto outcome = simulate(of, Detail::totals, {kind, 1});
  if (const auto* refusal = std::get_if<Infeasible>(&outcome)) FAIL(refusal->reason);
  return std::get<Result>(outcome);
}

Replayed replayed(const Scenario& of) {
  auto outcome = replay_iteration(of, SteadyState::whole);
  if (const auto* refusal = std::get_if<Infeasible>(&outcome)) FAIL(refusal->reason);
  return std::move(std::get<Replayed>(outcome));
}

Seconds duration(const Replayed& of, std::size_t program, TaskKind kind) {
  const auto& tasks = of.lowering.graph.programs[program].tasks;
  for (std::size_t i = 0; i < tasks.size(); ++i)
    if (tasks[i].kind == kind) return of.prices.times[static_cast<std::size_t>(tasks[i].work)].device.seconds();
  return Seconds(0);
}

// Collectives that put messages together.
std::vector<CollectiveWork> assemblies(const Lowering& lowering) {
  std::vector<CollectiveWork> found;
  for (const Work& work : lowering.works)
    if (const auto* chain = std::get_if<CollectiveChain>(&work); chain != nullptr && chain->axis == Axis::pipeline)
      found.insert(found.end(), chain->calls.begin(), chain->calls.end());
  return found;
}

std::string refusal(const Scenario& of) {
  const auto outcome = simulate(of);
  return std::holds_alternative<Infeasible>(outcome) ? std::get<Infeasible>(outcome).reason : "";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a list of equal degrees is the degree, to the picosecond") {
  const std::vector<std::vector<std::string>> variants = {
      {},
      {"strategy.sequence_parallel=true"},
      {"strategy.divides_messages=false"},
      {"strategy.sharding=zero3", "strategy.sequence_parallel=true"},
      {"strategy.schedule=interleaved", "strategy.virtual_stages=2", "strategy.recompute=full"},
      {"strategy.schedule=zb_h1"},
      {"strategy.schedule=dualpipe"},
      {"strategy.stage_layers=balanced"},
      {"model.tied_embeddings=false"},
      {"strategy.context_parallel=2", "cluster.nodes=8", "workload.sequence_length=4096"},
  };
  for (const auto& overrides : variants) {
    CAPTURE(overrides);
    const Result one = result_of(scenario("4", 4, overrides));
    const Result list = result_of(scenario("[4, 4, 4, 4]", 4, overrides));
    CHECK(list.iteration == one.iteration);
    CHECK(list.memory.peak == one.memory.peak);
    CHECK(list.hfu() == one.hfu());
    CHECK(list.mfu() == one.mfu());
  }
}

TEST_CASE("a stage of a degree takes the time and memory that it would among its like") {
  // 2 replicas x (8 + 8 + 4 + 4) = 48 GPUs.
  for (const char* sequence : {"true", "false"}) {
    const std::vector<std::string> overrides = {std::string("strategy.sequence_parallel=") + sequence};
    const Replayed both = replayed(scenario("[8, 8, 4, 4]", 6, overrides));
    const Replayed four = replayed(scenario("4", 4, overrides));
    const Replayed eight = replayed(scenario("8", 8, overrides));
    for (const TaskKind kind : {TaskKind::forward, TaskKind::backward, TaskKind::optimizer}) {
      CHECK(duration(both, 1, kind) == duration(eight, 1, kind));
      CHECK(duration(both, 2, kind) == duration(four, 2, kind));
    }
    for (const std::size_t stage : {std::size_t{1}, std::size_t{2}}) {
      const Replayed& like = stage == 1 ? eight : four;
      CHECK(both.lowering.parameters[stage] == like.lowering.parameters[stage]);
      CHECK(both.lowering.resident[stage] == like.lowering.resident[stage]);
    }
  }
}

TEST_CASE("every layer's work is done once, whatever the degrees") {
  const Result even = result_of(scenario("4", 4));
  const Result list = result_of(scenario("[8, 4, 4, 8]", 6));
  CHECK(list.gpus == 48);
  CHECK(list.executed_flops.value() == Approx(even.executed_flops.value()).epsilon(1e-9));
  CHECK(list.model_flops == even.model_flops);
}

TEST_CASE("between unlike degrees messages are cut by the fewer ranks and put together by the group that gets them") {
  // A micro-batch of 2048 tokens of 2048 elements of 2 bytes: 8 MiB. Stages 1 and 2 are unlike: 4 parts each way. Both
  // gather: stage 2 forward over 4 ranks, stage 1 backward over 8.
  const Bytes whole(2048.0 * 2048 * 2);
  const std::vector<std::string> whole_copies = {"strategy.divides_messages=false"};
  const Lowering lowering = replayed(scenario("[8, 8, 4, 4]", 6, whole_copies)).lowering;
  std::vector<double> bytes;
  for (const Work& work : lowering.works)
    if (const auto* message = std::get_if<TransferWork>(&work)) bytes.push_back(message->bytes.value());
  std::sort(bytes.begin(), bytes.end());
  CHECK(bytes.front() == whole.value() / 4);
  CHECK(bytes.back() == whole.value());
  const auto gathers = assemblies(lowering);
  REQUIRE(gathers.size() == 2);
  for (const CollectiveWork& gather : gathers) {
    CHECK(gather.kind == CollectiveKind::all_gather);
    CHECK(gather.bytes == whole);
  }
  CHECK(gathers[0].group.ranks + gathers[1].group.ranks == 12);
  // Shards of the sequence are cut anew, and nobody needs the whole.
  const Lowering shards = replayed(scenario("[8, 8, 4, 4]", 6, {"strategy.sequence_parallel=true"})).lowering;
  CHECK(assemblies(shards).empty());
  CHECK(assemblies(replayed(scenario("[4, 4, 4, 4]", 4)).lowering).empty());
  // A stage of one rank a replica needs no gather to have the whole.
  for (const CollectiveWork& gather :
       assemblies(replayed(scenario("[2, 2, 1, 1]", 3, {"strategy.data_parallel=4"})).lowering))
    CHECK(gather.group.ranks == 2);
}

TEST_CASE("ranks of stages follow each other") {
  const Mesh mesh = scenario("[8, 8, 4, 4]", 6).strategy.mesh;
  CHECK(mesh.ranks() == 48);
  CHECK(stage_ranks(mesh, 0).front() == 0);
  CHECK(stage_ranks(mesh, 1).front() == 16);
  CHECK(stage_ranks(mesh, 2) == std::vector<std::int64_t>{32, 33, 34, 35, 36, 37, 38, 39});
  CHECK(axis_groups(mesh, Axis::tensor, 2) ==
        std::vector<std::vector<std::int64_t>>{{32, 33, 34, 35}, {36, 37, 38, 39}});
  CHECK(axis_groups(mesh, Axis::data, 3)[1] == std::vector<std::int64_t>{41, 45});
  CHECK(pipeline_ranks_share_node(mesh, 2, 2, 8));
  CHECK_FALSE(pipeline_ranks_share_node(mesh, 2, 3, 8));
  CHECK(pipeline_ranks_share_node(mesh, 2, 3, 16));
}

TEST_CASE("degrees that cannot be say what would do") {
  CHECK(has(refusal(scenario("[4, 8, 8, 4]", 6, {"strategy.data_parallel=1", "cluster.nodes=3"})),
            "tensor_parallel [8, 8, 4, 4] would do"));
  CHECK(has(refusal(scenario("[4, 4, 2, 6]", 4)), "tensor_parallel 6 does not divide the model's 16 attention heads"));
  CHECK(has(refusal(scenario("[4, 4, 6, 2]", 4, {"model.heads=12", "model.hidden=3072"})),
            "tensor_parallel 4 of pipeline rank 1 beside 6"));
  CHECK(has(refusal(scenario("[8, 8, 4, 4]", 6, {"strategy.mesh_order=[tp, pp, cp, ep, dp]"})),
            "mesh_order [tp, cp, ep, dp, pp] would do"));
  CHECK(has(refusal(scenario("[8, 8, 4, 4]", 6, {"strategy.schedule=dualpipe"})), "ranks that are not alike"));
}

TEST_CASE("balanced stages weigh what a layer takes on the ranks that hold it") {
  std::vector<std::string> overrides = {"model.layers=24", "model.hidden=12288", "model.heads=96",
                                        "strategy.sequence_parallel=true"};
  const Result even = result_of(scenario("[8, 8, 4, 4]", 6, overrides));
  overrides.emplace_back("strategy.stage_layers=balanced");
  CHECK(result_of(scenario("[8, 8, 4, 4]", 6, overrides)).iteration < even.iteration);
}

// With flows the ranks of one data coordinate may leave by other adapters than those of the next, so that some wait
// less than folded replay has all of them wait.
TEST_CASE("unlike degrees agree, folded and every rank on its own, without flows to the picosecond") {
  for (const std::string network : {"analytic", "flow"})
    for (const std::vector<std::string>& more : {std::vector<std::string>{},
                                                 {"strategy.sequence_parallel=true"},
                                                 {"strategy.sharding=zero3"},
                                                 {"model.tied_embeddings=true"}}) {
      std::vector<std::string> overrides{"cluster.network=" + network};
      overrides.insert(overrides.end(), more.begin(), more.end());
      CAPTURE(overrides);
      for (const std::string degrees : {"[8, 4, 2, 2]", "[2, 2, 4, 8]", "[8, 2, 4, 2]"}) {
        CAPTURE(degrees);
        const Result folded = result_of(scenario(degrees, 4, overrides));
        const Result full = result_of(scenario(degrees, 4, overrides), ReplayKind::full);
        if (network == "analytic") CHECK(full.iteration == folded.iteration);
        CHECK(full.iteration <= folded.iteration);
        CHECK(full.iteration.value() == Approx(folded.iteration.value()).epsilon(1e-3));
        REQUIRE(full.ranks);
        CHECK(full.ranks->ranks == 32);
        CHECK(!full.ranks->pace);
      }
    }
}

TEST_CASE("with flows a list of equal degrees is the degree, and unlike ones take what the analytic model says") {
  const std::string flow = "cluster.network=flow";
  CHECK(result_of(scenario("[4, 4, 4, 4]", 4, {flow})).iteration == result_of(scenario("4", 4, {flow})).iteration);
  CHECK(result_of(scenario("[8, 4, 2, 2]", 4, {flow})).iteration.value() ==
        Approx(result_of(scenario("[8, 4, 2, 2]", 4)).iteration.value()).epsilon(0.01));
}

TEST_CASE("a slow rank of a narrower stage is found by its place") {
  // Stages of 16, 8, 4 and 4 ranks: rank 24 is the first of stage 2.
  const Result slow =
      result_of(scenario("[8, 4, 2, 2]", 4, {"faults=[{rank: 24, compute_factor: 3}]"}), ReplayKind::full);
  REQUIRE(slow.ranks->pace);
  CHECK(slow.ranks->pace->place.rank == 24);
  CHECK(slow.ranks->pace->place.pipeline == 2);
}
