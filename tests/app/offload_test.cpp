// Offload from scenario to result: refusals, host memory, and published runs.
#include "sim/app/simulate.h"
#include "sim/config/profile_config.h"
#include "sim/model/transformer.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

Profile shipped(const std::string& name) {
  return load_profile(std::string(ECHELON_SOURCE_DIR) + "/hardware_profiles/" + name + ".yaml");
}

// LLaMA-7B under DeepSpeed on a node of 8 A800 80 GB and 2 Xeon 8358 (8 x DDR4-3200 each, as two EPYC 7742): 4096
// tokens, 64 sequences a step, everything recomputed. An A800 is an A100 with fewer NVLinks.
Scenario llama_7b(Sharding sharding, std::int64_t micro_batch, const Offload& offload) {
  TransformerSpec spec;
  spec.layers = 32;
  spec.hidden = 4096;
  spec.heads = 32;
  spec.ffn = 11008;
  spec.gated = true;
  spec.norm = NormKind::rms_norm;
  spec.qkv_bias = spec.out_bias = spec.mlp_bias = false;
  spec.tied_embeddings = false;
  spec.position_kind = PositionKind::rotary;
  spec.vocabulary = 32000;
  Scenario scenario;
  scenario.model = build_transformer(spec);
  scenario.profile = shipped("dgx-a100-80g");
  scenario.gpus = 8;
  scenario.workload.sequence_length = 4096;
  scenario.workload.global_batch = 64;
  scenario.workload.precision.gradient = scenario.workload.precision.gradient_reduce = DataType::bf16;
  scenario.strategy = framework_defaults(FrameworkKind::deepspeed);
  scenario.strategy.kernels = KernelStyle::eager;
  scenario.strategy.mesh.data = 8;
  scenario.strategy.micro_batch = micro_batch;
  scenario.strategy.sharding = sharding;
  scenario.strategy.recompute = Recompute::full;
  scenario.strategy.overlap_gradient_reduce = scenario.strategy.overlap_parameter_gather = true;
  scenario.strategy.offload = offload;
  return scenario;
}

Result result_of(const Scenario& scenario) {
  auto outcome = simulate(scenario);
  REQUIRE(std::holds_alternative<Result>(outcome));
  return std::get<Result>(std::move(outcome));
}

std::string refusal_of(const Scenario& scenario) {
  const auto outcome = simulate(scenario);
  return std::holds_alternative<Infeasible>(outcome) ? std::get<Infeasible>(outcome).reason : "";
}

double peak_gib(const Result& result) {
  return result.memory.peak / gibibytes(1);
}

constexpr Offload optimizer_on_host{OffloadTarget::host, OffloadTarget::none, 0};

}  // namespace

TEST_CASE("offload is refused with the key of the host that the profile lacks") {
  Scenario scenario = llama_7b(Sharding::zero3, 1, {OffloadTarget::nvme, OffloadTarget::nvme, 0});
  CHECK(refusal_of(scenario).find("'host.nvme_read_gb_s'") != std::string::npos);
  scenario.profile.host.nvme_read = gigabytes_per_second(20);
  CHECK(refusal_of(scenario).find("'host.nvme_write_gb_s'") != std::string::npos);
  scenario.profile.host.nvme_write = gigabytes_per_second(20);
  CHECK(refusal_of(scenario).empty());
  scenario.profile.host = {};
  CHECK(refusal_of(scenario).find("'host.link_gb_s'") != std::string::npos);
  scenario.strategy.offload = {};
  CHECK(refusal_of(scenario).empty());
}

TEST_CASE("a node's host memory must hold what its ranks send there") {
  Scenario scenario = llama_7b(Sharding::zero2, 1, optimizer_on_host);
  const Result roomy = result_of(scenario);
  // 16 bytes for each of 6.74e9 parameters, whatever the number of ranks that share them.
  const double bytes = 16 * parameter_count(scenario.model);
  CHECK(roomy.memory.host.value() == Approx(bytes));
  CHECK(roomy.memory.fits);
  scenario.profile.host.memory = Bytes(bytes * 0.99);
  const Result short_of = result_of(scenario);
  CHECK_FALSE(short_of.memory.fits);
  CHECK(short_of.warnings.front().find("host memory") != std::string::npos);
}

TEST_CASE("peak memory of published runs with offload") {
  // gist.github.com/chenyaofo/d4cd6a20ab4b95cb3a49491747e2139a: torch.cuda.max_memory_allocated in GiB, DeepSpeed
  // 0.14.2. ZeRO-2, micro-batch 1, optimizer on the host: 16.9. ZeRO-3, micro-batch 2: 20.4, and 9.4 with the optimizer
  // on the host.
  const double zero2 = peak_gib(result_of(llama_7b(Sharding::zero2, 1, optimizer_on_host)));
  const double zero3 = peak_gib(result_of(llama_7b(Sharding::zero3, 2, {})));
  const double zero3_offloaded = peak_gib(result_of(llama_7b(Sharding::zero3, 2, optimizer_on_host)));
  CHECK(zero2 == Approx(16.9).epsilon(0.125));
  CHECK(zero3_offloaded == Approx(9.4).epsilon(0.25));
  // What offload saves: 14 bytes of each of 6.74e9 parameters, over 8 ranks.
  CHECK(zero3 - zero3_offloaded == Approx(20.4 - 9.4).epsilon(0.05));
}

TEST_CASE("the step on the host is a bound from below") {
  // The same table: 4.19 and 1.81 sequences a second without and with the optimizer on the host, ZeRO-2: 20 s of an
  // iteration. The model says what the datasheet bandwidth allows: 30 bytes of 6.74e9 parameters over 409.6 GB/s.
  const Result result = result_of(llama_7b(Sharding::zero2, 1, optimizer_on_host));
  CHECK(result.breakdown.optimizer.value() ==
        Approx(30 * parameter_count(llama_7b(Sharding::zero2, 1, {}).model) / 409.6e9));
  CHECK(result.breakdown.optimizer.value() < 64 / 1.81 - 64 / 4.19);
}
