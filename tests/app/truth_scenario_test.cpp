#include "sim/app/truth_scenario.h"

#include <algorithm>

#include "tests/app/truth_library.h"
#include "tests/catch.h"

using namespace echelon;
using namespace echelon::testing;

namespace {

TruthScenario translate(const TruthRow& row) {
  auto result = scenario_from_truth(row, usual_library());
  if (const auto* refusal = std::get_if<Infeasible>(&result)) FAIL(refusal->reason);
  return std::get<TruthScenario>(result);
}

std::string refusal_of(const TruthRow& row) {
  const auto result = scenario_from_truth(row, usual_library());
  REQUIRE(std::holds_alternative<Infeasible>(result));
  return std::get<Infeasible>(result).reason;
}

bool assumed(const TruthScenario& truth, const std::string& words) {
  return std::any_of(truth.assumptions.begin(), truth.assumptions.end(),
                     [&](const std::string& text) { return text.find(words) != std::string::npos; });
}

}  // namespace

TEST_CASE("a full row of Megatron-LM becomes its scenario") {
  const TruthScenario truth = translate(gpt_row());
  const Scenario& scenario = truth.scenario;
  CHECK(scenario.name == "r1");
  CHECK(scenario.gpus == 8);
  CHECK(scenario.profile.name == "dgx-a100-80g");
  CHECK(scenario.strategy.framework == FrameworkKind::megatron);
  CHECK(scenario.strategy.mesh.tensor == 8);
  CHECK(scenario.strategy.recompute == Recompute::full);
  CHECK(scenario.strategy.attention == AttentionKernel::unfused);
  CHECK(scenario.strategy.dropout);
  CHECK(scenario.strategy.batch_fetch == BatchFetch::every_stage);
  CHECK_FALSE(scenario.strategy.sequence_parallel);
  CHECK(scenario.workload.precision.gradient == DataType::fp16);  // Megatron's default for fp16
  CHECK(scenario.model.layers.size() == 48);
  CHECK(scenario.model.tied_embeddings);
  CHECK(scenario.model.vocabulary == 51200);  // 50257 rounded up to 128 * tp 8 = 1024
  CHECK(scenario.measured.iteration_time_s == 1.42);
}

TEST_CASE("no measurement of a row reaches its scenario but as what is compared") {
  TruthRow other = gpt_row();
  other.iter_time_s = 99;
  other.tokens_per_s_per_gpu = 1;
  other.tflops_per_gpu = 1;
  other.mfu = 0.01;
  other.peak_mem_gib = 1;
  const TruthScenario a = translate(gpt_row());
  const TruthScenario b = translate(other);
  CHECK(a.assumptions == b.assumptions);
  CHECK(a.scenario.strategy.kernels == b.scenario.strategy.kernels);
  CHECK(a.scenario.workload.global_batch == b.scenario.workload.global_batch);
  CHECK(a.scenario.model.hidden == b.scenario.model.hidden);
  CHECK(b.scenario.measured.iteration_time_s == 99);
}

TEST_CASE("blank columns are derived, assumed and noted, or refused by name") {
  TruthRow row = gpt_row();
  row.dp.reset();
  row.gpus = 64;
  row.pp = 2;
  row.global_batch = 16;
  CHECK(translate(row).scenario.strategy.mesh.data == 4);  // 64 / (8 * 2)
  row.micro_batch.reset();
  CHECK(refusal_of(row) == "micro_batch is not stated, and a rank's 4 sequences leave a choice");
  row.global_batch = 4;
  CHECK(translate(row).scenario.strategy.micro_batch == 1);
  CHECK(assumed(translate(row), "micro_batch is not stated: 1"));
  row.tp.reset();
  CHECK(refusal_of(row) == "tp is not stated");
  row = gpt_row();
  row.global_batch.reset();
  CHECK(refusal_of(row) == "global_batch is not stated");
  row = gpt_row();
  row.gpus = 12;
  CHECK(refusal_of(row) == "dp 1 x tp 8 x pp 1 x cp 1 = 8 is not 12 GPUs");
}

TEST_CASE("a batch that does not divide evenly is taken as the nearest that does, or refused") {
  TruthRow row = gpt_row();
  row.tp = 1;
  row.dp = 8;
  row.global_batch = 2046;
  row.micro_batch = 2;
  CHECK(translate(row).scenario.workload.global_batch == 2048);  // 0.1 % off
  CHECK(assumed(translate(row), "2048 taken"));
  row.global_batch = 20;
  CHECK(refusal_of(row) == "global_batch 20 does not divide over dp 8; 24 would");
  row.global_batch = 48;  // six a rank in micro-batches of at most four: two of three
  row.micro_batch = 4;
  CHECK(translate(row).scenario.strategy.micro_batch == 3);
}

TEST_CASE("chunks make a schedule interleaved, whatever it is called") {
  TruthRow row = gpt_row();
  row.tp = 1;
  row.pp = 8;
  row.vpp = 3;
  CHECK(translate(row).scenario.strategy.schedule == ScheduleKind::interleaved);
  row.vpp.reset();
  row.schedule = "1F1B-I";
  CHECK(translate(row).scenario.strategy.virtual_stages == 6);  // 48 layers on 8 stages, one a chunk
  row.layers = 22;                                              // 22 and 24 both miss 16
  CHECK(refusal_of(row) == "vpp is not stated, and 22 layers make no even chunks on 8 stages");
  row.schedule = "interleaved-1F1B";
  row.vpp = 1;
  CHECK(translate(row).scenario.strategy.schedule == ScheduleKind::one_f_one_b);
}

TEST_CASE("nanotron's collectives are checked as the row notes, or in stages over nodes") {
  TruthRow row = gpt_row();
  row.gpu = "H100-SXM-80GB";
  row.source = "HF nanotron ultra-scale playbook";
  row.zero_or_fsdp = "zero1";
  const auto checked = [&](std::int64_t nodes, std::int64_t stages, const char* notes) {
    row.gpus = 8 * nodes;
    row.tp = 4;
    row.pp = stages;
    row.dp = *row.gpus / 4 / stages;
    row.notes = notes;
    return translate(row).scenario.strategy.checks_collectives;
  };
  CHECK_FALSE(checked(2, 1, ""));
  CHECK(checked(2, 1, "collectives checked"));
  CHECK(checked(1, 2, "collectives checked"));
  CHECK_FALSE(checked(1, 2, ""));
  CHECK(checked(2, 2, ""));
  CHECK_FALSE(checked(2, 2, "collectives not checked"));
}

TEST_CASE("the source decides what the row leaves out") {
  TruthRow row = gpt_row();
  row.gpu = "H100-SXM-80GB";
  row.precision = "bf16, fp32 grad accum";
  row.seq_parallel = "";
  row.recompute = "none";
  row.zero_or_fsdp = "zero1";
  row.model = "llama-3.57B";
  row.source = "HF nanotron ultra-scale playbook";
  TruthScenario truth = translate(row);
  CHECK(truth.first_stage_peak);
  CHECK(truth.scenario.strategy.framework == FrameworkKind::nanotron);
  CHECK_FALSE(truth.scenario.strategy.checks_collectives);
  CHECK(truth.scenario.strategy.sequence_parallel);
  CHECK(truth.scenario.strategy.sharding == Sharding::zero1);
  CHECK(truth.scenario.model.tied_embeddings);
  CHECK(assumed(truth, "no profile aws-p5-h100-efa: dgx-h100 taken"));

  row.source = "pytorch/torchtitan";
  row.zero_or_fsdp = "FSDP2(zero3)";
  row.precision = "float8 rowwise";
  row.recompute = "selective";
  row.notes = "async TP; compile";
  truth = translate(row);
  CHECK(truth.scenario.strategy.framework == FrameworkKind::torchtitan);
  CHECK(truth.scenario.strategy.recompute == Recompute::selective_ops);
  CHECK(truth.scenario.strategy.kernels == KernelStyle::compiled);
  CHECK(truth.scenario.strategy.loss_kernels == KernelStyle::eager);
  CHECK(truth.scenario.strategy.overlap_tensor);
  CHECK(truth.scenario.strategy.peak == PeakKind::reserved);
  CHECK(truth.scenario.workload.precision.fp8_rowwise_scaling);
  CHECK(truth.scenario.workload.optimizer_variant == OptimizerVariant::pytorch);
  CHECK_FALSE(truth.scenario.model.tied_embeddings);
  row.notes = "compile; compiled loss";
  CHECK(translate(row).scenario.strategy.loss_kernels == KernelStyle::compiled);

  row.source = "BLOOM chronicles";
  row.zero_or_fsdp = "zero1 (DeepSpeed)";
  CHECK(translate(row).scenario.strategy.batch_fetch == BatchFetch::end_stages);

  row.source = "NVIDIA Megatron-Bridge performance summary";
  row.zero_or_fsdp = "DDP+dist-optimizer(default; not stated)";
  row.precision = "FP8 sub-channel/MX";
  row.notes = "";
  truth = translate(row);
  CHECK(truth.scenario.strategy.kernels == KernelStyle::transformer_engine);
  CHECK(truth.scenario.workload.precision.matrix == DataType::fp8);  // no MX units on this device
  CHECK(truth.scenario.workload.precision.fp8_rowwise_scaling);
  row.precision = "NVFP4";
  CHECK(refusal_of(row) == "dgx-h100 has no nvfp4 units");
}

TEST_CASE("a source whose scripts tell its vocabulary fills the blank column with it") {
  TruthRow row = gpt_row();
  row.vocab.reset();
  CHECK(translate(row).scenario.model.vocabulary == 51200);  // GPT-2's 50257, rounded up to 128 * tp 8
  row.source = "Zero Bubble Table 4";
  CHECK(translate(row).scenario.model.vocabulary == 32768);  // 32000, likewise
  row.vocab = 65536;
  CHECK(translate(row).scenario.model.vocabulary == 65536);
  CHECK(translate(row).scenario.strategy.batch_fetch == BatchFetch::every_stage);
  row.source = "Zero Bubble PP (Qi et al. ICLR24) Table 6";  // with ZB-V, on a later Megatron-LM
  CHECK(translate(row).scenario.strategy.batch_fetch == BatchFetch::ahead);
  CHECK(translate(row).scenario.model.vocabulary == 65536);
}

TEST_CASE("llm-foundry's runs of large scale have a sweep of their own") {
  TruthRow row = gpt_row();
  row.source = "mosaicml/llm-foundry";
  row.zero_or_fsdp = "FSDP-FULL_SHARD(zero3)";
  row.precision = "amp_bf16/DEFAULT";
  row.model = "mpt-7b";
  Strategy strategy = translate(row).scenario.strategy;
  CHECK(strategy.metric_losses == 2);
  CHECK(strategy.attention == AttentionKernel::flash_triton);
  CHECK(strategy.backward_prefetch == BackwardPrefetch::post);
  row.notes = "section \"H100 80GB BF16 (Large Scale, >= 128 GPUs)\"";
  strategy = translate(row).scenario.strategy;
  CHECK(strategy.attention == AttentionKernel::flash);
  CHECK(strategy.backward_prefetch == BackwardPrefetch::pre);
  row.model = "mpt-13b";
  CHECK(translate(row).scenario.strategy.attention == AttentionKernel::flash_triton);
  row.source = "IBM fms-fsdp README";
  CHECK(translate(row).scenario.strategy.metric_losses == 0);
}

TEST_CASE("an unknown source is judged by its columns and its GPU") {
  TruthRow row = gpt_row();
  row.source = "somebody's blog";
  CHECK(translate(row).scenario.strategy.kernels == KernelStyle::transformer_engine);
  row.zero_or_fsdp = "FSDP";
  row.tp = 1;
  row.dp = 8;
  row.global_batch = 32;
  CHECK(translate(row).scenario.strategy.framework == FrameworkKind::fsdp);
  row.zero_or_fsdp = "zero3 (DeepSpeed)";
  CHECK(translate(row).scenario.strategy.framework == FrameworkKind::deepspeed);
  row.zero_or_fsdp = "";
  row.gpu = "V100-SXM3-32GB (DGX-2)";
  CHECK(translate(row).scenario.strategy.attention == AttentionKernel::unfused);
  CHECK(assumed(translate(row), "DGX-2"));
  row.gpu = "TPU v4";
  CHECK(refusal_of(row) == "no hardware profile for gpu 'TPU v4'");
}

TEST_CASE("a mixture of experts comes from its configuration, cut to the row's layers") {
  TruthRow row = gpt_row();
  row.model = "deepseek-v3[4 layers]";
  row.source = "MooreThreads/SimuMax v1.2 B200";
  row.tp = 1;
  row.dp = 8;
  row.ep = 8;
  row.layers = 4;
  row.global_batch = 32;
  row.precision = "bf16";
  CHECK(translate(row).scenario.model.experts == 256);
  CHECK(translate(row).scenario.model.layers.size() == 4);
  const Model first_four = translate(row).scenario.model;  // three dense layers and a mixture
  CHECK(first_four.layers[2] != first_four.layers[3]);
  row.notes = "1 dense layer in these runs";
  const Model one_dense = translate(row).scenario.model;
  CHECK(one_dense.layers[0] != one_dense.layers[1]);
  CHECK(one_dense.layers[1] == one_dense.layers[3]);
  row.model = "gpt-oss-120B";
  CHECK(refusal_of(row) == "model 'gpt-oss-120B' needs the configuration 'gpt-oss-120b', which is not there");
  row.model = "Nemotron_3_Nano";
  CHECK(refusal_of(row) == "model 'Nemotron_3_Nano' is no dense transformer, and its configuration is not known");
}

TEST_CASE("layers and heads that a source leaves out follow from the printed size") {
  TruthRow row = gpt_row();
  row.layers.reset();
  row.heads.reset();
  row.kv_heads.reset();
  row.hidden = 14400;
  row.ffn = 57600;
  row.vocab = 250000;
  row.params_b = 195;
  row.gpus = 88;
  row.pp = 11;
  row.dp = 1;
  row.global_batch = 16;
  // (195e9 - 250000 * 14400) / (12 * 14400^2) / 11 = 6.99 layers a stage; 120 heads of 120 are nearest to 128 wide.
  const TruthScenario truth = translate(row);
  CHECK(truth.scenario.model.layers.size() == 77);
  CHECK(truth.scenario.model.heads == 120);
  row.params_b.reset();
  CHECK(refusal_of(row) == "layers is not stated for model 'gpt-22B'");
}

TEST_CASE("what is no iteration of training is refused") {
  TruthRow row = gpt_row();
  row.notes = "iter_time = fwd+bwd of ONE layer, not an iteration";
  CHECK(refusal_of(row).find("no iteration's") != std::string::npos);
  row.notes = "finetuning LoRA (packed SQuAD)";
  CHECK(refusal_of(row).find("LoRA") != std::string::npos);
}

TEST_CASE("the measured time is printed or follows from tokens/s") {
  TruthRow row = gpt_row();
  CHECK(measured_iteration_time(row) == 1.42);
  row.iter_time_s.reset();
  row.tokens_per_s_per_gpu = 1024;
  CHECK(*measured_iteration_time(row) == Approx(1));  // 4 * 2048 tokens / (1024 * 8 GPUs)
  row.tokens_per_s_per_gpu = 0;
  CHECK_FALSE(measured_iteration_time(row));
}

TEST_CASE("Megatron-Bridge's recipes say what its table leaves out") {
  TruthRow row = gpt_row();
  row.source = "NVIDIA Megatron-Bridge performance summary";
  row.model = "deepseek-v3";
  row.gpu = "B200";
  row.gpus = 64;
  row.dp = 64;
  row.tp = 1;
  row.ep = 64;
  row.global_batch = 64;
  row.micro_batch = 1;
  row.precision = "MXFP8";
  row.recompute = "";
  const auto strategy_in = [&](const std::string& notes) {
    row.notes = notes;
    return translate(row).scenario.strategy;
  };
  CHECK(strategy_in("container 26.02.01 NeMo Container").expert_dispatch == ExpertDispatch::deduplicated);
  CHECK_FALSE(strategy_in("container 26.02.01 NeMo Container").overlap_expert);
  CHECK(strategy_in("container 26.04 NeMo Container").overlap_expert);
  CHECK_FALSE(strategy_in("no version").overlap_expert);
  CHECK_FALSE(strategy_in("").recompute_least);
  CHECK(strategy_in("").recompute_operators.modules == std::vector{RecomputeModule::mla_up_proj});
  row.precision = "BF16";  // whose recipe was not found
  CHECK(strategy_in("").recompute_least);
  row.precision = "MXFP8";
  row.source = "NeMo 25.07 docs";
  CHECK(strategy_in("container 26.04 NeMo Container").expert_dispatch == ExpertDispatch::all_to_all);
}

TEST_CASE("runs that drop tokens pad their experts, and those of some machines are graphs of whole iterations") {
  TruthRow row = gpt_row();
  row.source = "NVIDIA Megatron-Bridge performance summary";
  row.model = "qwen3-30B-A3B";
  row.gpu = "B200";
  row.tp = 1;
  row.dp = row.gpus = row.ep = row.global_batch = 8;
  row.micro_batch = 1;
  row.precision = "FP8-CS";
  row.notes = "Qwen3_30B_a3B (tokendrop); container 25.09 NeMo Container";
  const Strategy whole = translate(row).scenario.strategy;
  CHECK(whole.expert_capacity_factor == 1);
  CHECK(whole.expert_dispatch == ExpertDispatch::all_to_all);
  CHECK(whole.cuda_graphs == CudaGraphs::iteration);
  CHECK_FALSE(whole.fused_experts);
  row.gpu = "H100";
  CHECK(translate(row).scenario.strategy.cuda_graphs == CudaGraphs::none);
  row.notes = "container 25.09 NeMo Container";
  CHECK(translate(row).scenario.strategy.expert_capacity_factor == 0);
}

TEST_CASE("Megatron-Bridge's recipes with FSDP keep activations on the host") {
  TruthRow row = gpt_row();
  row.source = "NVIDIA Megatron-Bridge performance summary";
  row.model = "llama3-70b";
  row.gpu = "B200";
  row.precision = "FP8";
  row.recompute = "";
  row.zero_or_fsdp = "MCore-FSDP";
  const TruthScenario sharded = translate(row);
  CHECK(sharded.scenario.strategy.offload.activation_layers == 5);
  CHECK(sharded.scenario.strategy.recompute == Recompute::none);
  CHECK(assumed(sharded, "keeps activations of 5 layers on the host"));
  row.zero_or_fsdp = "";
  CHECK(translate(row).scenario.strategy.offload.activation_layers == 0);
}

TEST_CASE("layers that Megatron's stages do not divide are laid by predicted time") {
  TruthRow row = gpt_row();
  row.layers = 47;
  row.gpus = 16;
  row.dp = 1;
  row.pp = 2;
  const TruthScenario truth = translate(row);
  CHECK(truth.scenario.strategy.balances_stages);
  CHECK(assumed(truth, "47 layers do not divide over 2 stages"));
}
