// What the host's launches cost, from scenario to result.
#include "sim/app/simulate.h"
#include "sim/config/profile_config.h"
#include "sim/model/transformer.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

TransformerSpec small_llama() {
  TransformerSpec spec;
  spec.layers = 8;
  spec.hidden = 1024;
  spec.heads = 16;
  spec.ffn = 4096;
  spec.gated = true;
  spec.vocabulary = 32000;
  return spec;
}

Scenario on_h100(const TransformerSpec& spec, FrameworkKind framework, std::int64_t gpus) {
  Scenario scenario;
  scenario.model = build_transformer(spec);
  scenario.profile = load_profile(ECHELON_SOURCE_DIR "/hardware_profiles/dgx-h100.yaml");
  scenario.gpus = gpus;
  scenario.workload.sequence_length = 512;
  scenario.strategy = framework_defaults(framework);
  return scenario;
}

Result result_of(const Scenario& scenario) {
  auto outcome = simulate(scenario);
  REQUIRE(std::holds_alternative<Result>(outcome));
  return std::get<Result>(std::move(outcome));
}

// Eight experts on as many GPUs, so few tokens that launches set the pace.
double launch_bound_seconds(CudaGraphs graphs) {
  TransformerSpec spec = small_llama();
  spec.mixture = MixtureOfExperts{};
  spec.mixture->experts = 8;
  spec.mixture->top_k = 2;
  spec.mixture->ffn = 1024;
  Scenario scenario = on_h100(spec, FrameworkKind::megatron, 8);
  scenario.workload.global_batch = 64;
  scenario.strategy.kernels = KernelStyle::transformer_engine;
  scenario.strategy.mesh.data = scenario.strategy.mesh.expert = 8;
  scenario.strategy.cuda_graphs = graphs;
  return result_of(scenario).iteration.value();
}

// Two stages with tensor parallelism of 4: on one node, or with two replicas on two.
Scenario pipeline_of(std::int64_t nodes, std::int64_t stages) {
  Scenario scenario = on_h100(small_llama(), FrameworkKind::nanotron, 8 * nodes);
  scenario.strategy.mesh.pipeline = stages;
  scenario.strategy.mesh.tensor = 4;
  scenario.strategy.mesh.data = 8 * nodes / 4 / stages;
  scenario.strategy.checks_collectives = nodes > 1;  // as in most of nanotron's published runs with stages
  scenario.workload.global_batch = 16 * scenario.strategy.mesh.data;
  return scenario;
}

// Full hidden states of one micro-batch, [tokens, 1,024] in bf16, that are held for collectives, beside the two that
// nanotron never gives back.
double held_states(const Scenario& scenario, std::size_t rank) {
  const Bytes state(static_cast<double>(scenario.workload.sequence_length) * 1024 * 2);
  const StageMemory stage = result_of(scenario).memory.per_stage[rank];
  return stage.by_category[static_cast<std::size_t>(MemoryCategory::communication)] / state - 2;
}

// Four stages, each so large that no launch is late, and one micro-batch: six messages one after the other.
double pipelined_seconds(bool synchronous, NetworkModel network) {
  TransformerSpec spec = small_llama();
  spec.hidden = 8192;
  spec.ffn = 32768;
  spec.heads = 64;
  Scenario scenario = on_h100(spec, FrameworkKind::megatron, 4);
  scenario.workload.sequence_length = 4096;
  scenario.workload.global_batch = 1;
  scenario.strategy.mesh.pipeline = 4;
  scenario.strategy.synchronous_pipeline = synchronous;
  scenario.network = network;
  return result_of(scenario).iteration.value();
}

}  // namespace

TEST_CASE("hosts that wait for the device at both ends of a message make it later by the same time on any network") {
  for (const NetworkModel network : {NetworkModel::analytic, NetworkModel::flow}) {
    const double waits = pipelined_seconds(true, network) - pipelined_seconds(false, network);
    CHECK(waits == Approx(6 * 390e-6).epsilon(0.02));
  }
}

TEST_CASE("each wider CUDA graph takes launches off the host") {
  const double none = launch_bound_seconds(CudaGraphs::none);
  const double router = launch_bound_seconds(CudaGraphs::router);
  const double parts = launch_bound_seconds(CudaGraphs::attention_router);
  const double whole = launch_bound_seconds(CudaGraphs::iteration);
  CHECK(router < none);
  CHECK(parts < router);
  CHECK(whole < parts);
}

TEST_CASE("a micro-batch that is fetched while the device waits takes its time once in each forward pass") {
  // Four micro-batches of 8 x 4,096 tokens on one GPU, whose kernels take longer than their launches.
  const auto seconds = [](BatchFetch stages) {
    Scenario scenario = on_h100(small_llama(), FrameworkKind::megatron, 1);
    scenario.workload.sequence_length = 4096;
    scenario.workload.global_batch = 32;
    scenario.strategy.micro_batch = 8;
    scenario.strategy.batch_fetch = stages;
    const Result result = result_of(scenario);
    return std::pair(result.iteration.value(), result.breakdown.other.value());
  };
  const auto [ahead, ahead_other] = seconds(BatchFetch::ahead);
  const auto [waited, waited_other] = seconds(BatchFetch::every_stage);
  CHECK(waited - ahead == Approx(4 * 640e-6).epsilon(0.001));
  CHECK(waited_other - ahead_other == Approx(4 * 640e-6).epsilon(0.001));
  CHECK(seconds(BatchFetch::end_stages).first == Approx(waited));
}

TEST_CASE("a run is held up by checks of its tensor-parallel collectives, on one node as on several") {
  // Per micro-batch the same layers, and launch-bound both; hardware_profiles/aws-p5-h100-efa.yaml names the rows.
  const auto seconds = [](std::int64_t nodes, bool checks) {
    Scenario scenario = pipeline_of(nodes, 2);
    scenario.strategy.checks_collectives = checks;
    return result_of(scenario).iteration.value();
  };
  CHECK(seconds(2, true) > 1.5 * seconds(2, false));
  CHECK(seconds(1, true) > 1.5 * seconds(1, false));
  CHECK(seconds(2, true) == Approx(seconds(1, true)).epsilon(0.1));
  CHECK(seconds(2, false) < 1.2 * seconds(1, false));
}

TEST_CASE("checks of gradients' reductions take the time of their hosts where that is longer") {
  // 128 replicas of 8 layers: one reduction a layer and one of each end, of which 213 us x 128 = 27 ms are the hosts'.
  // All but the last run beside the backward pass, which is shorter than one of them.
  const auto exposed = [](bool checks) {
    Scenario scenario = on_h100(small_llama(), FrameworkKind::nanotron, 128);
    scenario.strategy.mesh.data = 128;
    scenario.strategy.checks_collectives = checks;
    scenario.workload.global_batch = 128;
    return result_of(scenario).breakdown.exposed_dp.value();
  };
  CHECK(exposed(true) > 8 * 128 * 213e-6);
  CHECK(exposed(true) < 11 * 128 * 213e-6);
  CHECK(exposed(false) < 0.1 * exposed(true));
}

TEST_CASE("without a pipeline buffers of collectives wait for the device as long as the launch queue holds them") {
  const auto held = [](std::int64_t layers, std::int64_t micro_batches) {
    TransformerSpec spec = small_llama();
    spec.layers = layers;
    Scenario scenario = on_h100(spec, FrameworkKind::nanotron, 8);
    scenario.strategy.mesh.tensor = 8;
    scenario.strategy.peak = PeakKind::reserved;
    scenario.workload.global_batch = micro_batches;
    return held_states(scenario, 0);
  };
  // Two of a layer and one of the ends in each direction. A layer's forward pass is 17 kernels and four collectives of
  // one and two waits each, so that a pass of eight layers and the backward pass before it are less than 1,024.
  CHECK(held(8, 1) == Approx(17));
  CHECK(held(8, 4) == Approx(2 * 17));
  // Forty layers alone are more: the last 1,024 launches of a forward pass are held, whatever came before.
  const double most = 81.0 * 1024 / (40 * (17 + 4 * 3));
  CHECK(held(40, 1) < most);
  CHECK(held(40, 1) > 0.9 * most);
  CHECK(held(40, 4) == Approx(held(40, 1)));
}

TEST_CASE("buffers of collectives pile up on a pipeline's first stage alone") {
  Scenario scenario = pipeline_of(2, 4);
  scenario.strategy.peak = PeakKind::reserved;
  CHECK(held_states(scenario, 0) > 1);
  for (std::size_t stage = 1; stage < 4; ++stage) CHECK(held_states(scenario, stage) == Approx(0).margin(1e-9));
  // Two warm-up passes wait behind the first of four stages, none behind the first of two, whose host is the slower.
  scenario = pipeline_of(2, 2);
  scenario.strategy.peak = PeakKind::reserved;
  CHECK(held_states(scenario, 0) == Approx(0).margin(1e-9));
}

TEST_CASE("a host that leads its device leaves the last passes of a pipeline's first stage in the queue") {
  Scenario scenario = pipeline_of(1, 2);
  scenario.strategy.peak = PeakKind::reserved;
  scenario.workload.sequence_length = 16384;
  // Five of eight layers, with whose 5 x 16.8M weights the half of 8 x 16.8M and the head's 32.8M is reached: forward
  // two of each and the embedding's, backward two of each.
  CHECK(held_states(scenario, 0) == Approx(2 * 5 + 1 + 2 * 5));
  // No backward pass comes before a forward pass.
  scenario.workload.global_batch = 2 * scenario.strategy.mesh.data;
  CHECK(held_states(scenario, 0) == Approx(2 * 5 + 1));
}
