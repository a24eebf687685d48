#include "sim/config/strategy_config.h"

#include "sim/config/workload_config.h"
#include "tests/catch.h"
#include "tests/config/config_test.h"

namespace echelon {

using test::error_of;

namespace {

Strategy strategy_of(const std::string& text) {
  return strategy_from_yaml(parse_text("{" + text + "}", "doc"));
}

std::string strategy_error(const std::string& text) {
  return error_of([&] { strategy_of(text); });
}

Workload workload_of(const std::string& text) {
  return workload_from_yaml(parse_text("{sequence_length: 1, global_batch: 1, " + text + "}", "doc"),
                            FrameworkKind::megatron);
}

std::string resolve_error(const std::string& text, std::int64_t gpus) {
  return error_of([&] {
    const Value value = parse_text("{" + text + "}", "doc");
    Strategy strategy = strategy_from_yaml(value);
    resolve_data_parallel(value, gpus, strategy);
  });
}

}  // namespace

TEST_CASE("offload is read by its parts", "[config]") {
  const Offload some = strategy_of("offload: {optimizer: nvme, parameters: host, activation_layers: 3}").offload;
  CHECK(some.optimizer == OffloadTarget::nvme);
  CHECK(some.parameters == OffloadTarget::host);
  CHECK(some.activation_layers == 3);
  CHECK_FALSE(strategy_of("").offload.any());
  CHECK(strategy_error("offload: {optimiser: host}").find("optimizer") != std::string::npos);
  CHECK(strategy_error("offload: {optimizer: cpu}").find("host") != std::string::npos);
  CHECK(strategy_error("offload: {activation_layers: -1}").find("expected") != std::string::npos);
  CHECK(strategy_error("offload: host").find("expected") != std::string::npos);
}

TEST_CASE("slices of a sequence by number, by lengths, or balanced", "[config]") {
  CHECK(strategy_of("sequence_slices: 4").sequence_slices == 4);
  CHECK(strategy_of("sequence_slices: 4").slice_lengths.empty());
  const Strategy balanced = strategy_of("sequence_slices: {count: 3, split: balanced}");
  CHECK(balanced.sequence_slices == 3);
  CHECK(balanced.balances_slices);
  CHECK_FALSE(strategy_of("sequence_slices: {count: 3, split: even}").balances_slices);
  const Strategy listed = strategy_of("sequence_slices: {split: [512, 256, 256]}");
  CHECK(listed.sequence_slices == 3);
  CHECK(listed.slice_lengths == std::vector<std::int64_t>{512, 256, 256});
  CHECK(strategy_error("sequence_slices: {count: 2, split: [512, 256, 256]}").find("expected count: 3") !=
        std::string::npos);
  CHECK(strategy_error("sequence_slices: {count: 2, split: uneven}").find("expected even, balanced") !=
        std::string::npos);
  CHECK(strategy_error("sequence_slices: {count: 2, split: [512, 0]}").find("expected") != std::string::npos);
  CHECK(strategy_error("sequence_slices: {number: 2}").find("number") != std::string::npos);
}

TEST_CASE("where the vocabulary lies", "[config]") {
  CHECK(strategy_of("").vocabulary_parallel == VocabularyParallel::none);
  CHECK(strategy_of("vocabulary_parallel: vocab_2").vocabulary_parallel == VocabularyParallel::vocab_2);
  CHECK(strategy_error("vocabulary_parallel: vocab-2").find("vocab_2") != std::string::npos);
}

TEST_CASE("grids and local groups are read", "[config]") {
  const Strategy s = strategy_of(
      "tensor_parallel: 32, tensor_mode: 2.5d, tensor_depth: 2, local_groups: 4, synchronize_every: 500, "
      "outer_optimizer: average, accumulates_unsharded: true");
  CHECK(s.tensor_mode == TensorMode::two_and_a_half_d);
  CHECK(s.tensor_depth == 2);
  CHECK(s.mesh.local_groups == 4);
  CHECK(s.local_steps.every == 500);
  CHECK(s.local_steps.optimizer == OuterOptimizer::average);
  CHECK(s.accumulates_unsharded);
  CHECK(strategy_of("").tensor_mode == TensorMode::one_d);
  CHECK(strategy_of("").mesh.local_groups == 1);
  CHECK(strategy_error("tensor_mode: 3d").find("doc:1:15: tensor_mode is '3d'") == 0);
  CHECK(strategy_error("synchronize_every: 0").find("expected an integer from 1") != std::string::npos);
  CHECK(strategy_error("outer_optimizer: nestorov").find("did you mean 'nesterov'?") != std::string::npos);
}

TEST_CASE("fragments of rounds and groups of micro-batches are read", "[config]") {
  const Strategy s = strategy_of(
      "local_groups: 2, synchronize_every: 100, synchronize_fragments: 8, fragment_pattern: sequential, "
      "synchronize_delay: 5, outer_gradients: e3m0, schedule: interleaved, virtual_stages: 2, schedule_group: 6");
  CHECK(s.local_steps.fragments == 8);
  CHECK(s.local_steps.pattern == FragmentPattern::sequential);
  CHECK(s.local_steps.delay == 5);
  CHECK(s.local_steps.format == OuterFormat::e3m0);
  CHECK(s.schedule_group == 6);
  CHECK(strategy_of("").local_steps.fragments == 1);
  CHECK(strategy_of("").local_steps.delay == 0);
  CHECK(strategy_of("").local_steps.format == OuterFormat::as_gradients);
  CHECK(strategy_error("outer_gradients: fp4").find("e3m0") != std::string::npos);
}

TEST_CASE("every strategy key arrives", "[config]") {
  const Strategy s = strategy_of(
      "framework: megatron, data_parallel: 2, tensor_parallel: 3, pipeline_parallel: 4, context_parallel: 5, "
      "expert_parallel: 6, expert_tensor_parallel: 7, mesh_order: [dp, tp, cp, ep, pp], micro_batch: 8, "
      "schedule: zb_h1, virtual_stages: 9, first_stage_layers: 10, last_stage_layers: 11, sequence_parallel: yes, "
      "sharding: hybrid, shard_ranks: 12, reshard_after_forward: no, recompute: {kind: full, layers: 13}, "
      "overlap_gradient_reduce: true, overlap_parameter_gather: true, overlap_pipeline: true, overlap_tensor: true, "
      "overlap_weight_gradient: false, synchronous_pipeline: true, batch_fetch: end_stages, fused_loss: true, kernels: "
      "compiled, "
      "attention: unfused, dropout: true, peak_memory: device");
  CHECK(s.mesh.data == 2);
  CHECK(s.mesh.tensor == 3);
  CHECK(s.mesh.pipeline == 4);
  CHECK(s.mesh.context == 5);
  CHECK(s.mesh.expert == 6);
  CHECK(s.mesh.expert_tensor == 7);
  CHECK(s.mesh.order == std::vector<Axis>{Axis::data, Axis::tensor, Axis::context, Axis::expert, Axis::pipeline});
  CHECK(s.micro_batch == 8);
  CHECK(s.schedule == ScheduleKind::zb_h1);
  CHECK(s.virtual_stages == 9);
  CHECK(s.first_stage_layers == 10);
  CHECK(s.last_stage_layers == 11);
  CHECK(s.sequence_parallel);
  CHECK(s.sharding == Sharding::hybrid);
  CHECK(s.shard_ranks == 12);
  CHECK_FALSE(reshards_after_forward(s));
  CHECK(s.recompute == Recompute::full);
  CHECK(s.recompute_layers == 13);
  CHECK(s.overlap_gradient_reduce);
  CHECK(s.overlap_parameter_gather);
  CHECK(s.overlap_pipeline);
  CHECK(s.overlap_tensor);
  CHECK_FALSE(s.overlap_weight_gradient);
  CHECK(s.synchronous_pipeline);
  CHECK(s.batch_fetch == BatchFetch::end_stages);
  CHECK(s.fused_loss);
  CHECK(s.kernels == KernelStyle::compiled);
  CHECK(s.attention == AttentionKernel::unfused);
  CHECK(s.dropout);
  CHECK(s.peak == PeakKind::device);
}

TEST_CASE("layers that run again together are counted, or all of a stage", "[config]") {
  CHECK(strategy_of("recompute: full").recompute_group == 1);
  CHECK(strategy_of("recompute: {kind: full, group: 4}").recompute_group == 4);
  CHECK(strategy_of("recompute: {kind: full, group: stage}").recompute_group == Strategy::whole_chunk);
}

TEST_CASE("stages that fetch batches are named as they are", "[config]") {
  CHECK(strategy_of("framework: deepspeed").batch_fetch == BatchFetch::ahead);
  CHECK(strategy_error("batch_fetch: all").find("every_stage") != std::string::npos);
}

TEST_CASE("layers of a rank by runs, and the chunks that they take", "[config]") {
  const Strategy runs = strategy_of("pipeline_parallel: 2, rank_layers: [[0-2, 6], [5, 3-4]]");
  CHECK(runs.rank_layers == std::vector<std::vector<std::int64_t>>{{0, 1, 2, 6}, {5, 3, 4}});
  CHECK(runs.schedule == ScheduleKind::interleaved);
  CHECK(runs.virtual_stages == 2);
  // One run on each rank, in their order, is what 1F1B does.
  CHECK(strategy_of("pipeline_parallel: 2, rank_layers: [[0-2], [3-4]]").schedule == ScheduleKind::one_f_one_b);
  // Places of a wave over two ranks: 0 1 1 0 0 1 1 0, so that 0 1 0 1 0 stand at 0, 1, 3, 5 and 7: four chunks.
  const Strategy wave = strategy_of("pipeline_parallel: 2, schedule: hanayo, rank_layers: [[0, 2, 4], [1, 3]]");
  CHECK(wave.virtual_stages == 4);
  CHECK(strategy_error("rank_layers: [[0-99998, 0-99998]]").find("more than 100000 layers") != std::string::npos);
  CHECK(strategy_error("rank_layers: []").find("is empty") != std::string::npos);
  CHECK(strategy_error("rank_layers: 3").find("expected") != std::string::npos);
}

TEST_CASE("tensor degrees by pipeline rank", "[config]") {
  const Strategy list = strategy_of("tensor_parallel: [4, 8], pipeline_parallel: 2, data_parallel: 3");
  CHECK(list.mesh.stage_tensor == std::vector<std::int64_t>{4, 8});
  CHECK(list.mesh.tensor == 8);
  CHECK(list.mesh.ranks() == 36);
  CHECK(strategy_of("tensor_parallel: 4, pipeline_parallel: 2, data_parallel: 3").mesh.ranks() == 24);
  CHECK(strategy_error("tensor_parallel: [4, 8]") ==
        "doc:1:19: tensor_parallel lists 2 pipeline ranks, not pipeline_parallel 1; pipeline_parallel 2 would do");
  CHECK(strategy_error("tensor_parallel: []").find("is empty") != std::string::npos);
  CHECK(strategy_error("tensor_parallel: [0]").substr(0, 10) == "doc:1:20: ");
  CHECK(resolve_error("tensor_parallel: [4, 8], pipeline_parallel: 2", 24).empty());
  CHECK(resolve_error("tensor_parallel: [4, 8], pipeline_parallel: 2", 32).find("expected 24 or 36 GPUs") !=
        std::string::npos);
}

TEST_CASE("absent strategy keys are the framework's", "[config]") {
  const Strategy torchtitan = strategy_of("framework: torchtitan");
  CHECK(torchtitan.sharding == framework_defaults(FrameworkKind::torchtitan).sharding);
  CHECK(torchtitan.recompute == framework_defaults(FrameworkKind::torchtitan).recompute);
  CHECK(torchtitan.mesh.data == 0);  // auto
  CHECK(strategy_of("virtual_stages: 2").schedule == ScheduleKind::interleaved);
  CHECK(strategy_of("virtual_stages: 2, schedule: 1f1b").schedule == ScheduleKind::one_f_one_b);
  CHECK(strategy_of("recompute: selective").recompute == Recompute::selective);
}

TEST_CASE("stages keep what they gathered unless they are told not to", "[config]") {
  CHECK(reshards_after_forward(strategy_of("framework: torchtitan")));
  CHECK_FALSE(reshards_after_forward(strategy_of("framework: torchtitan, pipeline_parallel: 2")));
  CHECK(
      reshards_after_forward(strategy_of("framework: torchtitan, pipeline_parallel: 2, reshard_after_forward: true")));
}

TEST_CASE("DeepSpeed overlaps communication with ZeRO-3 unless it is told not to", "[config]") {
  const Strategy third = strategy_of("framework: deepspeed, sharding: zero3");
  CHECK(third.overlap_gradient_reduce);
  CHECK(third.overlap_parameter_gather);
  const Strategy told = strategy_of("framework: deepspeed, sharding: zero3, overlap_gradient_reduce: false");
  CHECK_FALSE(told.overlap_gradient_reduce);
  CHECK(told.overlap_parameter_gather);
  CHECK_FALSE(strategy_of("framework: deepspeed, sharding: zero2").overlap_gradient_reduce);
  CHECK_FALSE(strategy_of("framework: megatron, sharding: zero3").overlap_gradient_reduce);
}

TEST_CASE("wrong strategy keys", "[config]") {
  CHECK(strategy_error("tensor_paralel: 2") ==
        "doc:1:2: unknown key 'tensor_paralel' in the document; did you mean 'tensor_parallel'?");
  CHECK(strategy_error("tensor_parallel: 0") ==
        "doc:1:19: tensor_parallel is '0'; expected an integer from 1 to 1000000");
  CHECK(strategy_error("tensor_parallel: 99999999999999999999").substr(0, 28) == "doc:1:19: tensor_parallel is");
  CHECK(strategy_error("data_parallel: automatic") ==
        "doc:1:17: data_parallel is 'automatic'; expected auto, or an integer from 1 to 10000000");
  CHECK(strategy_error("framework: megatrn").substr(0, 61) ==
        "doc:1:13: framework is 'megatrn'; did you mean 'megatron'? (o");
  CHECK(strategy_error("mesh_order: [tp, tp, cp, ep, dp]") ==
        "doc:1:19: mesh_order[1] names 'tp' again; expected each axis once");
  CHECK(strategy_error("mesh_order: [tp, dp, pp]") ==
        "doc:1:14: mesh_order lacks 'cp'; expected each of tp, cp, ep, dp, pp once, innermost first");
  CHECK(strategy_error("recompute: {kind: selective, group: 2}") ==
        "doc:1:13: recompute groups layers of which a part runs again; expected {kind: full, group: 4}, or no group");
  CHECK(strategy_error("recompute: {kind: full, group: stages}").find("stage") != std::string::npos);
  CHECK(strategy_error("recompute: {kind: full, layer: 2}") ==
        "doc:1:26: unknown key 'layer' in recompute; did you mean 'layers'?");
  CHECK(strategy_error("tensor_parallel: 1000000, pipeline_parallel: 1000000, context_parallel: 1000000") ==
        "doc:1:1: the mesh has 1e+18 ranks; expected at most 10000000");
}

TEST_CASE("of a key that takes several kinds of values all are named", "[config]") {
  CHECK(strategy_error("recompute: uniform").find("operators, auto, {kind: full, layers: 4}") != std::string::npos);
  CHECK(strategy_error("stage_layers: uniform").find("expected balanced, or the layers of every stage") !=
        std::string::npos);
  CHECK(strategy_error("tensor_parallel: x").find("or one for each pipeline rank") != std::string::npos);
  CHECK(strategy_error("rank_layers: [0-7, 8-15]").find("such as [0-7] of [[0-7], [8-15]]") != std::string::npos);
}

TEST_CASE("words of other programs are known well enough to say what is meant", "[config]") {
  const auto meant = [](const std::string& text) {
    const std::string error = strategy_error(text);
    const std::size_t at = error.find("did you mean '");
    return at == std::string::npos ? error : error.substr(at + 14, error.find('\'', at + 14) - at - 14);
  };
  CHECK(meant("tp: 4") == "tensor_parallel");
  CHECK(meant("vpp: 4") == "virtual_stages");
  CHECK(meant("zero_stage: 3") == "sharding");
  CHECK(meant("virtual_pipeline: 2") == "virtual_stages");
  CHECK(meant("recompute_granularity: full") == "recompute");
  CHECK(meant("sharding: 3") == "zero3");
  CHECK(meant("sharding: FULL_SHARD") == "zero3");
  CHECK(meant("sharding: ddp") == "none");
  CHECK(meant("schedule: Interleaved1F1B") == "interleaved");
  CHECK(meant("schedule: ZBVZeroBubble") == "zb_v");
  CHECK(meant("schedule: DualPipeV") == "dualpipe_v");
  CHECK(meant("context_exchange: ulysses") == "all_to_all");
  CHECK(meant("context_exchange: p2p") == "ring");
  CHECK(meant("offload: {optimizer: cpu}") == "host");
}

TEST_CASE("data_parallel: auto fills the cluster", "[config]") {
  const Value value = parse_text("{tensor_parallel: 4, pipeline_parallel: 2, context_parallel: 2}", "doc");
  Strategy strategy = strategy_from_yaml(value);
  resolve_data_parallel(value, 64, strategy);
  CHECK(strategy.mesh.data == 4);  // 64 / (4 * 2 * 2)
  CHECK(resolve_error("data_parallel: auto, tensor_parallel: 16", 24) ==
        "doc:1:17: tensor_parallel 16 x pipeline_parallel 1 x context_parallel 1 = 16 does not divide the 24 GPUs; "
        "expected 16 or 32 GPUs, or a product of 12 or 24");
  CHECK(resolve_error("tensor_parallel: 16", 8) ==
        "doc:1:1: tensor_parallel 16 x pipeline_parallel 1 x context_parallel 1 = 16 does not divide the 8 GPUs; "
        "expected 16 GPUs, or a product of 8");
  CHECK(resolve_error("data_parallel: 3, tensor_parallel: 2", 8) ==
        "doc:1:17: data_parallel 3 x tensor_parallel 2 x pipeline_parallel 1 x context_parallel 1 makes 6 ranks "
        "for 8 "
        "GPUs; expected data_parallel: 4, or auto");
  CHECK(resolve_error("data_parallel: 4, tensor_parallel: 2", 8).empty());
}

TEST_CASE("precision by name and by part", "[config]") {
  CHECK(workload_of("precision: bf16").precision.gradient == DataType::fp32);
  CHECK(workload_of("precision: fp16").precision.gradient_reduce == DataType::fp16);
  CHECK(workload_of("precision: tf32").precision.matrix == DataType::tf32);
  CHECK(workload_of("precision: mxfp8").precision.matrix == DataType::mxfp8);
  CHECK(workload_of("precision: mxfp8").precision.compute == DataType::bf16);
  CHECK(workload_of("precision: {gradient: bf16}").precision.gradient_reduce == DataType::bf16);  // megatron's buffer
  CHECK(workload_of("precision: {compute: fp16, gradient: fp32}").precision.gradient_reduce == DataType::fp32);
  const Precision parts = workload_of(
                              "precision: {compute: fp16, matrix: fp8, gradient: fp32, gradient_reduce: bf16, "
                              "fp8_parameter_gather: true, fp8_scaling: rowwise}")
                              .precision;
  CHECK(parts.compute == DataType::fp16);
  CHECK(parts.matrix == DataType::fp8);
  CHECK(parts.gradient == DataType::fp32);
  CHECK(parts.gradient_reduce == DataType::bf16);
  CHECK(parts.fp8_parameter_gather);
  CHECK(parts.fp8_rowwise_scaling);
  CHECK(error_of([] { workload_of("precision: bf61"); }).substr(0, 61) ==
        "doc:1:50: precision is 'bf61'; did you mean 'bf16'? (one of: ");
  CHECK(error_of([] { workload_of("precision: {compute: int8}"); }) ==
        "doc:1:60: precision.compute is 'int8'; expected one of: fp32, tf32, fp16, bf16");
  CHECK(error_of([] { workload_of("precision: {compute: fp16, matrix: bf16}"); }) ==
        "doc:1:74: precision.matrix is bf16 while compute is fp16; expected fp16, fp8, mxfp8 or nvfp4");
  CHECK(workload_of("precision: {matrix: mxfp8, fp8_dot_product_attention: true}").precision.fp8_attention);
  CHECK(error_of([] { workload_of("precision: {matrix: fp8, fp8_dot_product_attention: true}"); }) ==
        "doc:1:91: precision.fp8_dot_product_attention with matrix fp8; expected matrix: mxfp8, whose attention is "
        "known");
}

TEST_CASE("optimizer by name and by part", "[config]") {
  CHECK(workload_of("optimizer: muon").optimizer == OptimizerKind::muon);
  CHECK(workload_of("optimizer: {kind: sgd, variant: pytorch}").optimizer_variant == OptimizerVariant::pytorch);
  CHECK(workload_of("optimizer: sgd").optimizer_variant == OptimizerVariant::megatron);
  const Value value = parse_text("{sequence_length: 2, global_batch: 3}", "doc");
  CHECK(workload_from_yaml(value, FrameworkKind::torchtitan).optimizer_variant == OptimizerVariant::pytorch);
  CHECK(error_of([] { workload_from_yaml(parse_text("{global_batch: 3}", "doc"), FrameworkKind::megatron); }) ==
        "doc:1:1: missing key 'sequence_length' in the document; expected 'sequence_length: VALUE'");
}

}  // namespace echelon
