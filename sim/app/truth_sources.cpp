#include "sim/app/truth_sources.h"

#include <fmt/format.h>

#include <array>

#include "sim/app/truth_words.h"

namespace echelon {

namespace {

// Megatron-LM before Transformer Engine: unfused attention, dropout 0.1, gradients reduced after the last backward
// pass, torch.cuda.synchronize() behind each batched send and receive, every stage fetching every micro-batch, no
// sequence parallelism unless asked for.
constexpr SourceConvention megatron_classic(std::string_view words, std::string_view reason) {
  SourceConvention c;
  c.words = words;
  c.framework = FrameworkKind::megatron;
  c.kernels = KernelStyle::megatron_fused;
  c.attention = AttentionKernel::unfused;
  c.dropout = true;
  c.synchronous_pipeline = true;
  c.batch_fetch = BatchFetch::every_stage;
  c.sequence_parallel = false;
  c.sharding = Sharding::none;
  c.peak = PeakKind::allocated;
  c.megatron_vocabulary = true;
  c.reason = reason;
  return c;
}

// The all-reduce of input gradients runs beside weight gradients in Megatron-LM since autumn 2021 (apex PR 1183 took it
// from there in October); Megatron-DeepSpeed keeps it off (its issue 447). Sums into 16-bit buffers were fused later.
constexpr SourceConvention without_async_reduce(SourceConvention c) {
  c.overlap_weight_gradient = false;
  c.gradient_fusion = GradientFusion::fp32;
  return c;
}

constexpr SourceConvention without_dropout(SourceConvention c) {
  c.dropout = false;
  return c;
}

constexpr SourceConvention with_fetch(BatchFetch stages, SourceConvention c) {
  c.batch_fetch = stages;
  return c;
}

// In the zero-bubble fork the forward pass of bias-GELU runs operation by operation. Inferred, not read off a trace:
// its authors' profiled passes (T_F, T_B and T_W of arXiv:2401.10241, table 9) have the backward pass as it is
// predicted (27.4, 48.9, 19.4 and 17.9 ms for 27.2, 48.8, 18.9 and 17.6), but the forward pass takes 80 to 90 ps longer
// for each token, layer and hidden feature in all four models, whatever their heads and micro-batches; ten kernels for
// one take 99. What may be behind it: TorchScript's guards send what was profiled with gradients, as Megatron's warm-up
// does, to a fallback where there are none (pytorch/pytorch issue 49299). Not every old Megatron has it: with it
// vTrain's small models would be predicted 9 % too slow.
constexpr SourceConvention zero_bubble_fork(SourceConvention c) {
  c.fused_activation = false;
  c.zero_bubble_runtime = true;
  return c;
}

// The fork's scripts have a SentencePiece tokenizer. Layers and one table of 25,500 to 33,400 words make the 6.2, 14.6
// and 28.3 billion parameters that name the models; GPT-2's table makes 6.3, 14.7 and 28.4. 32,000 is SentencePiece's
// usual size between the two.
constexpr SourceConvention zero_bubble(std::string_view words, std::string_view reason) {
  SourceConvention c = zero_bubble_fork(megatron_classic(words, reason));
  c.vocabulary = 32000;
  return c;
}

constexpr SourceConvention with_flash(SourceConvention c) {
  c.attention = AttentionKernel::flash;
  return c;
}

constexpr SourceConvention with_fp32_gradients(SourceConvention c) {
  c.gradient = DataType::fp32;
  c.gradient_reduce = DataType::fp32;
  return c;
}

constexpr SourceConvention with_device_peak(SourceConvention c) {
  c.peak = PeakKind::device;
  return c;
}

// Megatron-Core with Transformer Engine as NVIDIA's performance recipes set it.
constexpr SourceConvention megatron_core(std::string_view words, std::string_view reason) {
  SourceConvention c;
  c.words = words;
  c.framework = FrameworkKind::megatron;
  c.kernels = KernelStyle::transformer_engine;
  c.attention = AttentionKernel::flash;
  c.dropout = false;
  c.data_overlap = true;
  c.overlap_pipeline = true;
  c.overlap_tensor = true;
  c.sequence_parallel = true;
  c.sharding = Sharding::zero1;
  c.recompute = Recompute::none;
  c.peak = PeakKind::allocated;
  c.megatron_vocabulary = true;
  c.reason = reason;
  return c;
}

// NVIDIA's recipes keep recompute out of their tables and set it model by model, as memory demands.
constexpr SourceConvention with_least_recompute(SourceConvention c) {
  c.recompute_least = true;
  return c;
}

// Transformer Engine's cross entropy (cross_entropy_fusion_impl "te") reads 16-bit logits twice and writes the
// gradient, as compiled code does; that it writes it over the logits is not counted.
constexpr SourceConvention with_fused_loss(SourceConvention c) {
  c.loss_kernels = KernelStyle::compiled;
  return c;
}

constexpr SourceConvention with_bf16_gradients(SourceConvention c) {
  c.gradient = DataType::bf16;
  c.gradient_reduce = DataType::bf16;
  return c;
}

constexpr SourceConvention without_overlap(SourceConvention c) {
  c.data_overlap = false;
  c.overlap_pipeline = false;
  c.overlap_tensor = false;
  return c;
}

// Megatron-DeepSpeed keeps Megatron's kernels; DeepSpeed's engine owns the optimizer state.
constexpr SourceConvention megatron_deepspeed(std::string_view words, std::string_view reason) {
  SourceConvention c = with_fetch(BatchFetch::end_stages, megatron_classic(words, reason));
  c.framework = FrameworkKind::deepspeed;
  return c;
}

constexpr SourceConvention fully_sharded(std::string_view words, KernelStyle kernels, DataType reduce,
                                         std::string_view reason) {
  SourceConvention c;
  c.words = words;
  c.framework = FrameworkKind::fsdp;
  c.kernels = kernels;
  c.attention = AttentionKernel::flash;
  c.dropout = false;
  c.optimizer = OptimizerVariant::pytorch;
  c.gradient = DataType::fp32;  // shards keep the parameters' format
  c.gradient_reduce = reduce;
  c.selective = Recompute::full;
  c.recompute = Recompute::none;
  c.peak = PeakKind::allocated;
  c.reason = reason;
  return c;
}

// MPT's defaults in the benchmarks of 2023; flash-attn's fused cross entropy moves what compiled code does. After each
// micro-batch's backward pass Composer's trainer (_train_microbatch, _eval_train_metrics) updates the metrics of MPT's
// training batch (llmfoundry/models/mpt/modeling_mpt.py: LanguageCrossEntropy and LanguagePerplexity), each of which
// takes torch.nn.CrossEntropyLoss of the logits (composer/metrics/nlp.py).
constexpr SourceConvention mosaic_pretrained(SourceConvention c) {
  c.attention = AttentionKernel::flash_triton;
  c.loss_kernels = KernelStyle::compiled;
  c.metric_losses = 2;
  c.backward_prefetch = BackwardPrefetch::post;  // composer.utils.FSDPConfig
  return c;
}

constexpr SourceConvention torchtitan(std::string_view words, std::string_view reason) {
  SourceConvention c = fully_sharded(words, KernelStyle::eager, DataType::fp32, reason);
  c.framework = FrameworkKind::torchtitan;
  c.sequence_parallel = true;
  c.fp8_activation_gather = true;  // parallelize_llama.py: PrepareFloat8ModuleInput, Float8ColwiseParallel
  c.selective = Recompute::selective_ops;
  c.recompute = Recompute::selective_ops;
  c.loss_kernels = KernelStyle::eager;  // from December 2024 (pull request 755) to April 2025 (1033), compiled or not
  c.peak = PeakKind::reserved;
  return c;
}

constexpr SourceConvention nanotron(std::string_view words, std::string_view reason) {
  SourceConvention c;
  c.words = words;
  c.framework = FrameworkKind::nanotron;
  c.attention = AttentionKernel::flash;
  c.dropout = false;
  c.synchronous_pipeline = true;
  c.sequence_parallel = true;
  c.sharding = Sharding::none;
  c.recompute = Recompute::none;
  c.gradient = DataType::fp32;
  c.gradient_reduce = DataType::fp32;
  c.optimizer = OptimizerVariant::megatron;  // bf16 weights, fp32 gradients, fp32 master copy in the optimizer
  c.peak = PeakKind::reserved;
  c.first_stage_peak = true;
  c.checked_pipelines = true;
  c.reason = reason;
  return c;
}

// calibrate/check/measure_steps.py: eager PyTorch on one GPU, bf16 weights and gradients beside fp32 masters.
constexpr SourceConvention calibration_check() {
  SourceConvention c;
  c.words = "echelon check";
  c.framework = FrameworkKind::fsdp;
  c.kernels = KernelStyle::eager;
  c.attention = AttentionKernel::flash;
  c.dropout = false;
  c.sharding = Sharding::none;
  c.optimizer = OptimizerVariant::megatron;
  c.gradient = DataType::bf16;
  c.gradient_reduce = DataType::bf16;
  c.selective = Recompute::full;
  c.recompute = Recompute::none;
  c.peak = PeakKind::allocated;
  c.reason =
      "echelon's own check: eager PyTorch, FlashAttention-2, bf16 weights and gradients, fp32 masters, moments and "
      "gradients; memory is max_memory_allocated";
  return c;
}

// Special sources before the frameworks that they are built on.
constexpr auto conventions = std::to_array<SourceConvention>({
    calibration_check(),
    nanotron("nanotron",
             "nanotron: REDUCE_SCATTER tensor parallelism, flash attention, fp32 gradient accumulation; the "
             "receiver reads each tensor's shape on the host (nanotron p2p.py); memory is what world rank 0 reserved"),
    torchtitan("torchtitan",
               "torchtitan: FSDP2 with fp32 shards, bf16 gathers, fp32 reduces; memory is max_memory_reserved"),
    mosaic_pretrained(fully_sharded(
        "llm-foundry", KernelStyle::eager, DataType::fp32,
        "llm-foundry: Composer FSDP, eager MPT blocks, FlashAttention in Triton (submit_benchmarks.py), fused cross "
        "entropy, which two metrics take again; DEFAULT reduces in fp32, PURE in bf16")),
    fully_sharded(
        "fms-fsdp", KernelStyle::compiled, DataType::bf16,
        "fms-fsdp: FSDP with torch.compile, bf16 gathers and reduces (policies/mixed_precision.py); its selective "
        "recompute repeats whole blocks, all of them assumed"),
    with_fused_loss(with_least_recompute(with_bf16_gradients(
        megatron_core("megatron-bridge",
                      "Megatron-Bridge performance recipes: Transformer Engine, its fused loss, distributed optimizer, "
                      "all overlaps, bf16 gradients (grad_reduce_in_fp32 off)")))),
    with_least_recompute(
        with_bf16_gradients(megatron_core("nemo",
                                          "NeMo performance recipes: Transformer Engine, distributed optimizer, all "
                                          "overlaps, bf16 gradients"))),
    megatron_core("megatron-core", "Megatron-Core README: Transformer Engine, distributed optimizer, all overlaps"),
    without_overlap(megatron_core("simumax",
                                  "SimuMax runs Megatron-Core with every overlap off; memory is "
                                  "max_memory_allocated over all ranks")),
    // Table 6 came with the version of January 2024, whose ZB-V runs on Megatron-LM of the end of 2023 (the fork's
    // training.py imports megatron.core.distributed.finalize_model_grads): only the ends have batches there, copied
    // asynchronously.
    with_fetch(BatchFetch::ahead,
               zero_bubble("(qi et al. iclr24) table 6",
                           "zero bubble: Megatron-LM of the end of 2023, unfused attention and dropout as in the "
                           "paper's activation formula sbh(34 + 5as/h), 32,000 words as the names of its models have "
                           "it; kind of memory not stated: allocated")),
    zero_bubble("zero bubble",
                "zero bubble: Megatron-LM of 2023, unfused attention and dropout as in the paper's activation formula "
                "sbh(34 + 5as/h), 32,000 words as the names of its models have it; kind of memory not stated: "
                "allocated"),
    // Its pretrain_gpt.py gives the stages in the middle no batch and copies that of the others asynchronously.
    with_fetch(BatchFetch::ahead,
               with_flash(zero_bubble_fork(megatron_classic(
                   "vocabulary parallel",
                   "vocabulary parallelism: the zero-bubble fork of Megatron-LM in 2024, whose "
                   "examples/pretrain_zero_bubble.sh has flash attention, local kernels, fp16 and dropout; kind "
                   "of memory not stated: allocated")))),
    with_device_peak(without_dropout(megatron_deepspeed(
        "bloom", "BLOOM: Megatron-DeepSpeed, no dropout (its published configuration); memory is nvidia-smi's"))),
    with_device_peak(without_dropout(megatron_deepspeed("bigscience", "BigScience: as BLOOM"))),
    megatron_deepspeed("glm-130b", "GLM-130B: Megatron-DeepSpeed with unfused attention"),
    megatron_deepspeed("mt-nlg", "MT-NLG: Megatron-DeepSpeed, unfused attention"),
    with_fetch(BatchFetch::end_stages,
               without_async_reduce(megatron_classic(
                   "vtrain",
                   "vTrain's measurements: Megatron-DeepSpeed with ZeRO off, unfused attention, dropout, "
                   "gradients reduced in one piece at the end"))),
    with_fp32_gradients(megatron_classic("korthikanti",
                                         "Korthikanti 2022: Megatron-LM, unfused attention, dropout; 18 bytes a "
                                         "parameter, so fp32 gradients (its Figure 1)")),
    megatron_deepspeed("deepspeed", "DeepSpeed on Megatron's kernels, unfused attention"),
    without_async_reduce(
        megatron_classic("sc'21", "Megatron-LM of 2021: unfused attention, dropout, no overlap of any reduction")),
    without_async_reduce(
        megatron_classic("sc21", "Megatron-LM of 2021: unfused attention, dropout, no overlap of any reduction")),
    without_async_reduce(
        megatron_classic("2020", "Megatron-LM of 2020: unfused attention, dropout, no overlap of any reduction")),
    megatron_core("primus", "AMD Primus on Megatron-Core: Transformer Engine, distributed optimizer, all overlaps"),
    megatron_core("megascale", "MegaScale on Megatron-Core: fused kernels, all overlaps"),
    megatron_core("megatron",
                  "Megatron-Core with its usual flags: Transformer Engine, distributed optimizer, all overlaps"),
    fully_sharded("composer", KernelStyle::eager, DataType::fp32, "Composer FSDP, DEFAULT policy"),
    fully_sharded("mosaic", KernelStyle::eager, DataType::fp32, "Composer FSDP, DEFAULT policy"),
    fully_sharded("fsdp", KernelStyle::eager, DataType::bf16, "PyTorch FSDP, bf16 gathers and reduces, eager kernels"),
    fully_sharded("lightning", KernelStyle::eager, DataType::bf16,
                  "PyTorch FSDP, bf16 gathers and reduces, eager kernels"),
    fully_sharded("litgpt", KernelStyle::eager, DataType::bf16,
                  "PyTorch FSDP, bf16 gathers and reduces, eager kernels"),
    fully_sharded("torchtune", KernelStyle::eager, DataType::bf16,
                  "PyTorch FSDP, bf16 gathers and reduces, eager kernels"),
    fully_sharded("nanogpt", KernelStyle::compiled, DataType::fp32,
                  "nanoGPT: torch.compile, fp32 parameters under autocast"),
});

constexpr SourceConvention unknown_recent =
    megatron_core("", "source not known: taken as Megatron-Core with its usual flags");
constexpr SourceConvention unknown_old =
    megatron_classic("", "source not known, GPU older than A100: taken as Megatron-LM of 2020");

template <class T>
void set(T& to, const std::optional<T>& from) {
  if (from) to = *from;
}

const SourceConvention* find_convention(const std::string& text) {
  for (const SourceConvention& convention : conventions)
    if (text.find(convention.words) != std::string::npos) return &convention;
  return nullptr;
}

}  // namespace

const SourceConvention& convention_of(const TruthRow& row, std::vector<std::string>& assumptions) {
  const bool deepspeed = mentions(row.zero_or_fsdp, "deepspeed");  // "zero3 (DeepSpeed)" in a Megatron paper's table
  const SourceConvention* found = deepspeed ? find_convention("deepspeed") : nullptr;
  for (const std::string* column : {&row.source, &row.url_or_path, &row.zero_or_fsdp, &row.model, &row.notes})
    if (found == nullptr) found = find_convention(lower_case(*column));
  if (found == nullptr) found = mentions(row.gpu, "v100") || mentions(row.gpu, "p100") ? &unknown_old : &unknown_recent;
  assumptions.emplace_back(found->reason);
  return *found;
}

Strategy conventional_strategy(const SourceConvention& convention) {
  Strategy strategy = framework_defaults(convention.framework);
  set(strategy.kernels, convention.kernels);
  set(strategy.attention, convention.attention);
  set(strategy.dropout, convention.dropout);
  set(strategy.fused_activation, convention.fused_activation);
  set(strategy.overlap_gradient_reduce, convention.data_overlap);
  set(strategy.overlap_parameter_gather, convention.data_overlap);
  set(strategy.overlap_pipeline, convention.overlap_pipeline);
  set(strategy.synchronous_pipeline, convention.synchronous_pipeline);
  if (convention.loss_kernels) strategy.loss_kernels = convention.loss_kernels;
  set(strategy.backward_prefetch, convention.backward_prefetch);
  strategy.metric_losses = convention.metric_losses;
  set(strategy.batch_fetch, convention.batch_fetch);
  set(strategy.overlap_tensor, convention.overlap_tensor);
  set(strategy.overlap_weight_gradient, convention.overlap_weight_gradient);
  set(strategy.fused_gradient_accumulation, convention.gradient_fusion);
  set(strategy.sequence_parallel, convention.sequence_parallel);
  set(strategy.sharding, convention.sharding);
  set(strategy.recompute, convention.recompute);
  set(strategy.peak, convention.peak);
  return strategy;
}

void apply_notes(const TruthRow& row, Strategy& strategy, std::vector<std::string>& assumptions) {
  const std::string notes = lower_case(row.notes);
  const auto noted = [&](std::string_view words) { return notes.find(words) != std::string::npos; };
  const bool python = strategy.framework != FrameworkKind::megatron && strategy.framework != FrameworkKind::deepspeed;
  if (noted("compile=false") || noted("no compile"))
    strategy.kernels = KernelStyle::eager;
  else if (python && noted("compile"))
    strategy.kernels = KernelStyle::compiled;
  if (noted("compiled loss")) strategy.loss_kernels = KernelStyle::compiled;
  if (noted("vanilla tp")) strategy.overlap_tensor = false;
  if (noted("asynctp") || noted("async tp")) strategy.overlap_tensor = true;
  if (noted("tp+sp") || noted("tp-sp")) strategy.sequence_parallel = true;
  if (noted("no sp") && noted("all-reduce tp")) strategy.sequence_parallel = false;
  if (noted("overlap features disabled")) {
    strategy.overlap_gradient_reduce = strategy.overlap_parameter_gather = false;
    strategy.overlap_pipeline = strategy.overlap_tensor = false;
  }
  if (noted("sft performance") || noted("finetuning sft"))
    assumptions.emplace_back("fine-tuning of all weights, priced as pre-training on packed sequences");
}

}  // namespace echelon
