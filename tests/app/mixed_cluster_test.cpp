// Clusters of several machines, from document to result.
#include "sim/app/block_times.h"
#include "sim/app/bound.h"
#include "sim/app/simulate.h"
#include "sim/cost/collective.h"
#include "tests/app/scenario_text.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

// GPT of 8 layers on 4 nodes of two machines: dp 4, tp 2, pp 4 with its stages on a node each.
Scenario scenario(const std::string& cluster, const std::vector<std::string>& overrides = {}) {
  const std::string text =
      "echelon: 1\n"
      "model: {layers: 8, hidden: 4096, heads: 32, vocabulary: 50304}\n"
      "cluster: {" +
      cluster +
      "}\n"
      "workload: {sequence_length: 4096, global_batch: 32, precision: bf16}\n"
      "strategy: {framework: megatron, tensor_parallel: 2, pipeline_parallel: 4, micro_batch: 1, "
      "sequence_parallel: true, sharding: zero1, overlap_gradient_reduce: true}\n";
  return testing::scenario_from_text(text, overrides);
}

const std::string plain = "profile: dgx-a100-80g, nodes: 4";
const std::string twins = "groups: [{profile: dgx-a100-80g, nodes: 2}, {profile: dgx-a100-80g, nodes: 2}]";
const std::string mixed = "groups: [{profile: dgx-a100-80g, nodes: 2}, {profile: dgx-h100, nodes: 2}]";

Result result_of(const Scenario& of, const ReplayChoice& choice = {}) {
  const auto outcome = simulate(of, Detail::totals, choice);
  if (const auto* refusal = std::get_if<Infeasible>(&outcome)) FAIL(refusal->reason);
  return std::get<Result>(outcome);
}

Replayed replayed(const Scenario& of) {
  return std::get<Replayed>(replay_iteration(of, SteadyState::whole));
}

// The time on the device of the first task of a kind.
Seconds duration(const Replayed& of, std::size_t program, TaskKind kind) {
  for (const Task& task : of.lowering.graph.programs[program].tasks)
    if (task.kind == kind) return of.prices.times[static_cast<std::size_t>(task.work)].device.seconds();
  return Seconds(0);
}

}  // namespace

TEST_CASE("two equal groups are one cluster, to the picosecond") {
  const std::vector<std::vector<std::string>> variants = {
      {},
      {"strategy.sharding=zero3"},
      {"strategy.sharding=hybrid", "strategy.overlap_parameter_gather=true"},
      {"strategy.mesh_order=[tp, pp, cp, ep, dp]"},
      {"strategy.pipeline_parallel=1"},
      {"strategy.schedule=interleaved", "strategy.virtual_stages=2"},
      {"strategy.schedule=zb_v", "strategy.recompute=full"},
      {"strategy.schedule=dualpipe", "strategy.mesh_order=[tp, pp, cp, ep, dp]"},
      {"strategy.stage_layers=balanced"},
      {"strategy.tensor_parallel=16", "strategy.pipeline_parallel=1"},
      {"strategy.context_parallel=8", "strategy.pipeline_parallel=1"},
  };
  for (const auto& overrides : variants) {
    CAPTURE(overrides);
    const Result one = result_of(scenario(plain, overrides));
    const Result two = result_of(scenario(twins, overrides));
    CHECK(two.iteration == one.iteration);
    CHECK(two.memory.peak == one.memory.peak);
    CHECK(two.mfu() == Approx(one.mfu()));
    CHECK(two.hfu() == Approx(one.hfu()));
    CHECK(two.energy.value() == Approx(one.energy.value()));
    CHECK(two.gpus == one.gpus);
  }
}

TEST_CASE("a stage takes the time of its own GPUs") {
  // Stages 0 and 1 lie on A100, 2 and 3 on H100: their middle ones hold the same two layers.
  const Replayed both = replayed(scenario(mixed));
  const Replayed slow = replayed(scenario(plain));
  const Replayed fast = replayed(scenario("profile: dgx-h100, nodes: 4"));
  for (const TaskKind kind : {TaskKind::forward, TaskKind::backward}) {
    CHECK(duration(both, 1, kind) == duration(slow, 1, kind));
    CHECK(duration(both, 2, kind) == duration(fast, 2, kind));
    CHECK(duration(both, 2, kind) < duration(both, 1, kind));
  }
}

TEST_CASE("a pipeline of a slow and a fast stage goes at the pace of the slow one") {
  // 1F1B on two ranks runs F F B (F B)... B B on the first. Its first backward pass waits for the second rank's pass
  // and is then never kept waiting again where f1 + b1 <= b0:
  //   max(2 f0, f0 + f1 + b1) + m b0 + (m - 2) f0
  // Messages take nothing: links between nodes without latency and as good as without end.
  Scenario two = scenario("groups: [{profile: dgx-a100-80g, nodes: 1}, {profile: dgx-a100-80g, nodes: 1}]",
                          {"strategy.pipeline_parallel=2", "strategy.tensor_parallel=1", "strategy.sharding=none",
                           "strategy.sequence_parallel=false", "strategy.overlap_gradient_reduce=false",
                           "workload.global_batch=80", "model.vocabulary=1024"});
  Device& fast = two.further_groups[0].profile.device;
  for (FlopRate& peak : fast.peak) peak *= 2;
  fast.memory_bandwidth *= 2;
  for (std::size_t machine = 0; machine < 2; ++machine) {
    two.machine(machine).network.adapter_rate = ByteRate(1e24);
    two.machine(machine).network.adapter_latency = Seconds(0);
  }
  const Replayed run = replayed(two);
  const double f0 = duration(run, 0, TaskKind::forward).value();
  const double b0 = duration(run, 0, TaskKind::backward).value();
  const double f1 = duration(run, 1, TaskKind::forward).value();
  const double b1 = duration(run, 1, TaskKind::backward).value();
  CAPTURE(f0, b0, f1, b1);
  REQUIRE(f1 + b1 <= b0);
  const auto& tasks = run.lowering.graph.programs[0].tasks;
  Time end;
  for (std::size_t i = 0; i < tasks.size(); ++i)
    if (tasks[i].kind == TaskKind::backward) end = std::max(end, run.timeline.tasks[0][i].end);
  const double m = 10;
  CHECK(end.seconds().value() == Approx(std::max(2 * f0, f0 + f1 + b1) + m * b0 + (m - 2) * f0).epsilon(1e-9));
}

TEST_CASE("balanced stages give the faster GPUs more layers") {
  const Result even = result_of(scenario(mixed, {"model.layers=24"}));
  const Result balanced = result_of(scenario(mixed, {"model.layers=24", "strategy.stage_layers=balanced"}));
  CHECK(balanced.iteration < even.iteration);
  // On the slower of both kinds of GPU nothing is gained by more layers, so that these have the fewer.
  const auto outcome = block_times(scenario(mixed));
  const auto& times = std::get<BlockTimes>(outcome);
  REQUIRE(times.by_kind.size() == 2);
  CHECK(times.kind_of == std::vector<std::int32_t>{0, 0, 1, 1});
}

TEST_CASE("balanced stages take no more layers than fit") {
  // By time alone 22 of 64 layers lie on each H100 stage, too many.
  const auto of_placement = [](const char* layers) {
    return result_of(scenario(
        mixed, {"model.layers=64", "workload.sequence_length=24576", std::string("strategy.stage_layers=") + layers}));
  };
  CHECK_FALSE(of_placement("[10, 10, 22, 22]").memory.fits);
  const Result balanced = of_placement("balanced");
  CHECK(balanced.memory.fits);
  CHECK(balanced.iteration < of_placement("[16, 16, 16, 16]").iteration);
}

TEST_CASE("balanced stages are no slower than even ones where the host sets the pace") {
  // By time on the device the last of [8, 9, 8, 7] layers has room for the head.
  const std::vector<std::string> small = {"model={layers: 32, hidden: 2560, heads: 32, vocabulary: 51200}",
                                          "workload={sequence_length: 1024, global_batch: 128, precision: bf16}",
                                          "strategy.framework=deepspeed", "strategy.tensor_parallel=4",
                                          "strategy.sequence_parallel=false"};
  std::vector<std::string> balances = small;
  balances.emplace_back("strategy.stage_layers=balanced");
  const std::string cluster = "profile: dgx-h100, nodes: 4";
  const Result even = result_of(scenario(cluster, small));
  CHECK(even.breakdown.other / even.iteration > 0.1);
  CHECK(result_of(scenario(cluster, balances)).iteration <= even.iteration);
}

TEST_CASE("a stage across two machines goes at the pace of the slower") {
  const std::vector<std::string> across = {"strategy.mesh_order=[tp, pp, cp, ep, dp]"};
  const Result both = result_of(scenario(mixed, across));
  const Result slow = result_of(scenario(plain, across));
  CHECK(both.breakdown.compute == slow.breakdown.compute);
  CHECK(both.iteration >= slow.iteration);
  CHECK(both.memory.per_stage.front().capacity == slow.memory.capacity);
}

TEST_CASE("what passes between groups takes the time of the slower end, or of their link") {
  const auto between = [](const Replayed& of) {
    for (std::size_t i = 0; i < of.lowering.works.size(); ++i)
      if (const auto* message = std::get_if<TransferWork>(&of.lowering.works[i]);
          message != nullptr && message->bridges)
        return std::make_pair(message->bytes, of.prices.by_work[i].device());
    return std::make_pair(Bytes(0), Seconds(0));
  };
  const Scenario both = scenario(mixed);
  const auto [bytes, time] = between(replayed(both));
  Seconds slower;
  for (std::size_t machine = 0; machine < 2; ++machine)
    slower = std::max(slower, point_to_point_time(both.machine(machine).network, false, bytes, 8));
  CHECK(time == slower);
  // 8 GPUs of a node share 1 GB/s.
  const auto narrow = between(replayed(scenario(mixed + ", link: {node_gb_s: 1}"))).second;
  CHECK(narrow.value() == Approx(bytes.value() / (1e9 / 8)).epsilon(0.01));
  const auto late = between(replayed(scenario(mixed + ", link: {latency_us: 500}"))).second;
  CHECK(late > Seconds(500e-6));
  CHECK(between(replayed(scenario(plain))).first == Bytes(0));
}

TEST_CASE("memory is held against each stage's GPU, energy and cost are sums") {
  const Result both = result_of(scenario(mixed));
  const Scenario of = scenario(mixed);
  REQUIRE(both.memory.per_stage.size() == 4);
  CHECK(both.memory.per_stage[0].capacity == of.machine(0).device.memory);
  CHECK(both.memory.per_stage[3].capacity == of.machine(1).device.memory);
  double watts = 0;
  double usd = 0;
  double peak = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    watts += 16 * of.machine(i).device.tdp.value();
    usd += 16 * of.machine(i).price_usd_per_gpu_hour;
    peak += 16 * of.machine(i).device.peak_of(DataType::bf16).value();
  }
  CHECK(both.energy.value() == Approx(watts * both.iteration.value()));
  REQUIRE(both.cost_usd);
  CHECK(*both.cost_usd == Approx(usd * both.iteration.value() / 3600));
  CHECK(both.mfu() == Approx(both.model_flops.value() / both.iteration.value() / peak));
  CHECK(both.profile == "dgx-a100-80g + dgx-h100");
  // A first group of less memory, which alone does not hold its stages.
  Scenario small = scenario(mixed);
  small.profile.device.memory = gibibytes(3);
  const Result tight = result_of(small);
  CHECK_FALSE(tight.memory.fits);
  CHECK(tight.memory.capacity == gibibytes(3));
  std::swap(small.profile.device.memory, small.further_groups[0].profile.device.memory);
  CHECK_FALSE(result_of(small).memory.fits);
}

TEST_CASE("full replay of a mixed cluster agrees with folded, and bounds stay below it") {
  const Scenario both = scenario(mixed);
  const Result folded = result_of(both);
  const Result full = result_of(both, {ReplayKind::full, 1});
  CHECK(full.iteration == folded.iteration);
  const auto lower = bound(both);
  CHECK(std::get<Result>(lower).iteration <= folded.iteration);
}

TEST_CASE("copies of a stage lie on alike GPUs") {
  const auto outcome = simulate(scenario(mixed, {"strategy.schedule=chimera"}));
  REQUIRE(std::holds_alternative<Infeasible>(outcome));
  CHECK(std::get<Infeasible>(outcome).reason.find("1f1b and virtual_stages 1 would do") != std::string::npos);
}

TEST_CASE("a mixed cluster runs with flows, folded and every rank on its own alike") {
  const std::string flow = "cluster.network=flow";
  for (const std::vector<std::string>& overrides :
       {std::vector<std::string>{flow},
        {flow, "strategy.sharding=zero3"},
        {flow, "strategy.mesh_order=[tp, pp, cp, ep, dp]"},
        {flow, "strategy.tensor_parallel=16", "strategy.pipeline_parallel=1"}}) {
    CAPTURE(overrides);
    const Result folded = result_of(scenario(mixed, overrides));
    const Result full = result_of(scenario(mixed, overrides), {ReplayKind::full, 1});
    CHECK(full.iteration == folded.iteration);
    CHECK(!full.ranks->pace);
    const std::vector<std::string> without(overrides.begin() + 1, overrides.end());
    CHECK(folded.iteration.value() == Approx(result_of(scenario(mixed, without)).iteration.value()).epsilon(0.01));
  }
}

TEST_CASE("with flows a narrow link between groups is shared by all that crosses it") {
  // Data-parallel groups lie across both halves of the cluster.
  const std::vector<std::string> across{"cluster.network=flow", "strategy.mesh_order=[tp, pp, cp, ep, dp]"};
  const Result wide = result_of(scenario(mixed, across));
  const Result narrow = result_of(scenario(mixed + ", link: {node_gb_s: 10}", across));
  CHECK(narrow.iteration > wide.iteration);
  const Result full = result_of(scenario(mixed + ", link: {node_gb_s: 10}", across), {ReplayKind::full, 1});
  CHECK(full.iteration == narrow.iteration);
}
