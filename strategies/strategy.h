// The strategy document: how a model is laid over the ranks and how one iteration runs.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sim/base/enum_names.h"
#include "sim/base/error.h"
#include "sim/base/offload_target.h"
#include "sim/graph/layer_program.h"
#include "sim/model/cuda_graphs.h"
#include "sim/model/kernel_style.h"
#include "sim/model/rerun_list.h"
#include "sim/model/workload.h"
#include "strategies/local_steps.h"
#include "strategies/stage_cost.h"
#include "strategies/tensor_mode.h"

namespace echelon {

// Degrees of the mesh. ranks = data * tensor * pipeline * context; expert parallelism lies inside data * context.
struct Mesh {
  std::int64_t data = 1;
  std::int64_t tensor = 1;
  std::int64_t pipeline = 1;
  std::int64_t context = 1;
  std::int64_t expert = 1;
  std::int64_t expert_tensor = 0;  // tensor degree inside an expert; 0 = `tensor` without expert parallelism, 1 with it
  // By pipeline rank, instead of `tensor`, which is then the largest of them (strategies/stage_degrees.h); empty = all
  // alike.
  std::vector<std::int64_t> stage_tensor{};
  std::vector<Axis> order = {Axis::tensor, Axis::context, Axis::expert, Axis::data, Axis::pipeline};  // innermost first
  std::int64_t local_groups = 1;  // of data-parallel ranks, that meet only every so many steps (LocalSteps)

  std::int64_t ranks() const {
    if (stage_tensor.empty()) return data * tensor * pipeline * context;
    std::int64_t sum = 0;
    for (const std::int64_t degree : stage_tensor) sum += data * degree * context;
    return sum;
  }
};

enum class Sharding {  // of data-parallel state
  none,                // every rank keeps all: DDP, ZeRO-0
  zero1,               // optimizer states divided (Megatron's distributed optimizer, ZeRO-1)
  zero2,               // and gradients
  zero3,               // and parameters (FSDP full_shard)
  hybrid               // zero3 inside groups of `shard_ranks`, replicated across them (HSDP)
};

template <>
inline constexpr auto enum_names<Sharding> = std::to_array<EnumName<Sharding>>({
    {Sharding::none, "none"},
    {Sharding::zero1, "zero1"},
    {Sharding::zero2, "zero2"},
    {Sharding::zero3, "zero3"},
    {Sharding::hybrid, "hybrid"},
});

// How the ranks that share a sequence exchange what attention needs.
enum class ContextExchange {
  ring,            // keys and values pass from rank to rank while attention runs (arXiv:2310.01889)
  all_gather,      // keys and values are gathered before it (Llama 3, arXiv:2407.21783, section 3.3.2)
  all_to_all,      // each rank takes whole sequences of a share of the heads (Ulysses, arXiv:2309.14509)
  all_to_all_ring  // all-to-all among neighbours, rings across them (arXiv:2405.07719)
};

template <>
inline constexpr auto enum_names<ContextExchange> = std::to_array<EnumName<ContextExchange>>({
    {ContextExchange::ring, "ring"},
    {ContextExchange::all_gather, "all_gather"},
    {ContextExchange::all_to_all, "all_to_all"},
    {ContextExchange::all_to_all_ring, "all_to_all_ring"},
});

// Which gradient buffers a weight-gradient product adds to by itself, without a kernel of its own for the sum.
enum class GradientFusion {
  none,
  fp32,  // apex's wgrad_gemm_accum_fp32 alone, as first built (NVIDIA/apex pull request 1183, 2021)
  any    // 16-bit buffers too (its wgrad_gemm_accum_fp16; Transformer Engine)
};

template <>
inline constexpr auto enum_names<GradientFusion> = std::to_array<EnumName<GradientFusion>>({
    {GradientFusion::none, "none"},
    {GradientFusion::fp32, "fp32"},
    {GradientFusion::any, "any"},
});

// How tokens reach their experts.
enum class ExpertDispatch {
  all_to_all,   // every copy apart (Megatron's alltoall, DeepSpeed)
  deduplicated  // once to each node and each rank that holds any of a token's experts (DeepEP, HybridEP)
};

template <>
inline constexpr auto enum_names<ExpertDispatch> = std::to_array<EnumName<ExpertDispatch>>({
    {ExpertDispatch::all_to_all, "all_to_all"},
    {ExpertDispatch::deduplicated, "deduplicated"},
});

enum class Recompute {
  none,
  selective,      // the attention core (Megatron; arXiv:2205.05198)
  selective_ops,  // torchtitan's per-operator policy: every second matrix product and all pointwise work again
  full,           // each layer from its input
  operators       // those that Strategy::recompute_operators names
};

template <>
inline constexpr auto enum_names<Recompute> = std::to_array<EnumName<Recompute>>({
    {Recompute::none, "none"},
    {Recompute::selective, "selective"},
    {Recompute::selective_ops, "selective_ops"},
    {Recompute::full, "full"},
    {Recompute::operators, "operators"},
});

// When FSDP asks for the next layer's parameters in the backward pass (torch.distributed.fsdp.BackwardPrefetch).
enum class BackwardPrefetch {
  pre,  // before the gradients of the present layer: the gather runs beside them
  post  // after them: the gather runs beside the reduction alone
};

template <>
inline constexpr auto enum_names<BackwardPrefetch> = std::to_array<EnumName<BackwardPrefetch>>({
    {BackwardPrefetch::pre, "pre"},
    {BackwardPrefetch::post, "post"},
});

// strategies/pipeline/schedule.h has their definitions.
enum class ScheduleKind {
  gpipe,
  one_f_one_b,
  pipedream,
  pipedream_2bw,
  interleaved,
  looped_bfs,
  zb_h1,
  zb_h2,
  zb_1p,
  zb_2p,
  interleaved_zb,
  zb_v,
  v_half,
  v_min,
  dualpipe,
  dualpipe_v,
  chimera,
  hanayo,
  seq1f1b,
  terapipe,
  bpipe,
  searched
};

// Where embedding and output layer lie in a pipeline.
enum class VocabularyParallel {
  none,       // on the first and on the last stage
  vocab_1,    // divided over all pipeline ranks, passes between the stages' with two barriers (arXiv:2411.05288)
  vocab_2,    // the same with one barrier
  interlaced  // divided, all ranks at once, and all wait for the collectives (nnScaler, OSDI 2024)
};

template <>
inline constexpr auto enum_names<VocabularyParallel> = std::to_array<EnumName<VocabularyParallel>>({
    {VocabularyParallel::none, "none"},
    {VocabularyParallel::vocab_1, "vocab_1"},
    {VocabularyParallel::vocab_2, "vocab_2"},
    {VocabularyParallel::interlaced, "interlaced"},
});

template <>
inline constexpr auto enum_names<ScheduleKind> = std::to_array<EnumName<ScheduleKind>>({
    {ScheduleKind::gpipe, "gpipe"},
    {ScheduleKind::one_f_one_b, "1f1b"},
    {ScheduleKind::pipedream, "pipedream"},
    {ScheduleKind::pipedream_2bw, "pipedream_2bw"},
    {ScheduleKind::interleaved, "interleaved"},
    {ScheduleKind::looped_bfs, "looped_bfs"},
    {ScheduleKind::zb_h1, "zb_h1"},
    {ScheduleKind::zb_h2, "zb_h2"},
    {ScheduleKind::zb_1p, "zb_1p"},
    {ScheduleKind::zb_2p, "zb_2p"},
    {ScheduleKind::interleaved_zb, "interleaved_zb"},
    {ScheduleKind::zb_v, "zb_v"},
    {ScheduleKind::v_half, "v_half"},
    {ScheduleKind::v_min, "v_min"},
    {ScheduleKind::dualpipe, "dualpipe"},
    {ScheduleKind::dualpipe_v, "dualpipe_v"},
    {ScheduleKind::chimera, "chimera"},
    {ScheduleKind::hanayo, "hanayo"},
    {ScheduleKind::seq1f1b, "seq1f1b"},
    {ScheduleKind::terapipe, "terapipe"},
    {ScheduleKind::bpipe, "bpipe"},
    {ScheduleKind::searched, "searched"},
});

enum class FrameworkKind { megatron, torchtitan, deepspeed, fsdp, nanotron };

template <>
inline constexpr auto enum_names<FrameworkKind> = std::to_array<EnumName<FrameworkKind>>({
    {FrameworkKind::megatron, "megatron"},
    {FrameworkKind::torchtitan, "torchtitan"},
    {FrameworkKind::deepspeed, "deepspeed"},
    {FrameworkKind::fsdp, "fsdp"},
    {FrameworkKind::nanotron, "nanotron"},
});

// Which stages' forward passes begin with fetching the micro-batch while the device waits. Megatron-LM until autumn
// 2023 sent sizes and tokens over the tensor group and read the sizes back on the host, on every stage
// (megatron/core/tensor_parallel/data.py, broadcast_data; pretrain_gpt.py, get_batch); DeepSpeed's pipeline engine asks
// the stages at the ends alone (deepspeed/runtime/pipe/engine.py, _exec_load_micro_batch).
enum class BatchFetch {
  ahead,       // none: the batch is there before the device wants it
  end_stages,  // the first and the last
  every_stage
};

template <>
inline constexpr auto enum_names<BatchFetch> = std::to_array<EnumName<BatchFetch>>({
    {BatchFetch::ahead, "ahead"},
    {BatchFetch::end_stages, "end_stages"},
    {BatchFetch::every_stage, "every_stage"},
});

// What a peak-memory figure counts: bytes in live tensors, bytes held by the caching allocator, or the whole device as
// nvidia-smi shows it (allocator + context + NCCL).
enum class PeakKind { allocated, reserved, device };

template <>
inline constexpr auto enum_names<PeakKind> = std::to_array<EnumName<PeakKind>>({
    {PeakKind::allocated, "allocated"},
    {PeakKind::reserved, "reserved"},
    {PeakKind::device, "device"},
});

struct Schedule;  // strategies/pipeline/schedule.h

// What leaves the device between its uses (ZeRO-Offload, arXiv:2101.06840; ZeRO-Infinity, arXiv:2104.07857).
struct Offload {
  OffloadTarget optimizer = OffloadTarget::none;   // states, and the step that needs them
  OffloadTarget parameters = OffloadTarget::none;  // zero3, hybrid: the shards that gathers read
  std::int64_t activation_layers = 0;              // first layers of each chunk whose activations wait in host memory
                                                   // (Megatron-Core cpu_offloading_num_layers)
  OffloadTarget outer = OffloadTarget::none;       // local_groups: what the outer optimizer keeps

  // What every iteration moves.
  bool of_steps() const {
    return optimizer != OffloadTarget::none || parameters != OffloadTarget::none || activation_layers > 0;
  }
  bool any() const { return of_steps() || outer != OffloadTarget::none; }
};

struct Strategy {
  FrameworkKind framework = FrameworkKind::megatron;
  Mesh mesh;
  std::int64_t micro_batch = 1;  // sequences of one micro-batch of one data-parallel rank

  // Pipeline.
  ScheduleKind schedule = ScheduleKind::one_f_one_b;
  std::string schedule_file;                       // a schedule of the user's own, in PyTorch's CSV grammar, instead
  std::shared_ptr<const Schedule> given_schedule;  // what stands there; whoever simulates reads it
  std::int64_t virtual_stages = 1;                 // chunks a rank (interleaved)
  // interleaved, interleaved_zb: micro-batches that walk through the chunks together (Megatron-Core's
  // microbatch_group_size_per_vp_stage); 0 = as many as there are ranks.
  std::int64_t schedule_group = 0;
  // What zb_1p, zb_2p and searched plan by: whoever simulates gives predicted times, or none where they are not known;
  // then, and where it is absent, they plan by FLOPs.
  std::optional<PlannedTimes> planned_times;
  double schedule_activations = 0;   // searched: micro-batches that a rank may keep; 0 = as 1F1B, one for each rank
  std::int64_t sequence_slices = 1;  // seq1f1b, terapipe: parts of a sequence that go through the pipeline apart
  std::vector<std::int64_t> slice_lengths;  // tokens of each, first to last; empty = even
  bool balances_slices = false;             // whoever simulates fills slice_lengths so that each takes as long
  VocabularyParallel vocabulary_parallel = VocabularyParallel::none;
  std::int64_t first_stage_layers = 0;  // layers of the first pipeline stage; 0 = even
  std::int64_t last_stage_layers = 0;
  std::vector<std::int64_t> stage_layers;  // of every stage, in the order of the model; empty = as the two above say
  std::vector<std::vector<std::int64_t>> rank_layers;  // or, by pipeline rank, the layers that it holds, from 0 and in
                                                       // any order (strategies/placement/rank_layers.h)
  bool balances_stages = false;                        // whoever simulates fills stage_layers by predicted time
  bool thresholds_stages = false;     // or, where nothing else is said, by nanotron's thresholds on weights
  bool overlap_pipeline = false;      // sends and receives run beside compute
  bool synchronous_pipeline = false;  // the host waits for the device at every pipeline send or receive
  // Stages step without waiting for the norm of all gradients, which is checked behind them (arXiv:2401.10241, section
  // 4): each begins the next iteration as soon as its own is over.
  bool optimizer_post_validation = false;
  BatchFetch batch_fetch = BatchFetch::ahead;
  bool keeps_stage_outputs = false;  // what a stage sent on stays until its backward pass
  bool divides_messages = false;     // a stage sends 1/tp of the hidden state and gathers it there (scatter-gather)

  // Tensor and sequence parallelism.
  TensorMode tensor_mode = TensorMode::one_d;
  std::int64_t tensor_depth = 1;  // 2.5d: grids that hold the same weights
  bool sequence_parallel = false;
  bool overlap_tensor = false;            // collectives hidden behind their matrix products (asynchronous TP)
  double overlap_tensor_share = 1;        // of what those products could hide
  bool overlap_weight_gradient = false;   // collectives of the backward pass run beside weight gradients
  bool keeps_input_shards = false;        // a gathered input is kept as its shard and gathered again backward
  bool reorders_sequence_shards = false;  // the batch is outermost: gathers and scatters of the sequence copy
  // What a collective reads stays reserved until the device has run it, and the host runs ahead of the device
  // (record_stream in PyTorch's ProcessGroupNCCL).
  bool holds_collective_buffers = false;
  bool keeps_gather_buffers = false;  // the two that a gathered input goes to in turn are never given back

  // Context parallelism.
  ContextExchange context_exchange = ContextExchange::ring;
  std::int64_t context_all_to_all_ranks = 1;  // all_to_all_ring: ranks of an all-to-all
  bool context_balanced = true;  // each rank holds two slices, one from each end, so that causal work is even (zig-zag)

  // Experts: how tokens spread over them. Routing decides it, so these are the run's, not the model's.
  double expert_capacity_factor = 0;  // each expert takes this times its mean of tokens, padded; 0 = dropless
  double expert_imbalance = 1;        // tokens of the busiest expert-parallel rank over the mean, before any capacity
  double expert_concentration = 0;    // that ratio from expert shares drawn of a Dirichlet distribution with this
                                      // parameter, instead; 0 = as expert_imbalance says
  std::int64_t expert_seed = 1;
  std::int64_t expert_nodes_per_token = 0;  // a token is sent once to each of at most so many nodes, and inside them to
                                            // its experts (arXiv:2412.19437, section 2.1.2); 0 = to each expert apart
  ExpertDispatch expert_dispatch = ExpertDispatch::all_to_all;
  bool overlap_expert = false;   // all-to-alls run beside another micro-batch's compute
  bool fused_activation = true;  // Execution::fused_activation
  bool fused_experts = false;    // biases, activation and both products as one operation of Transformer Engine
                                 // (Megatron-Core use_transformer_engine_op_fuser)

  // Data parallelism.
  Sharding sharding = Sharding::none;
  std::int64_t shard_ranks = 0;               // hybrid: ranks that share one copy; 0 = the GPUs of a node
  std::optional<bool> reshard_after_forward;  // zero3, hybrid: gather parameters again for the backward pass; absent:
                                              // where there is one stage (torchtitan's "default")
  bool zero2_divides_parameters = false;  // zero2 is FSDP's shard_grad_op: zero3 that keeps what it gathered from the
                                          // forward to the end of the backward pass
  BackwardPrefetch backward_prefetch = BackwardPrefetch::pre;  // zero3, hybrid
  bool per_parameter_sharding = false;  // zero3, hybrid: FSDP2's copies around its collectives, not FSDP1's
  bool accumulates_unsharded = false;   // zero3, hybrid, FSDP's shard_grad_op: whole gradients add up and are reduced
                                        // with the last micro-batch alone (FSDP's no_sync)
  bool overlap_gradient_reduce = false;
  bool overlap_parameter_gather = false;
  // Gradients that are reduced in one call beside the backward pass; 0: 40 million, or a million for each rank that
  // reduces them where that is more (Megatron-LM distributed_data_parallel_config.py, bucket_size).
  double reduce_bucket_elements = 0;
  LocalSteps local_steps;
  bool checks_collectives = false;     // TORCH_DISTRIBUTED_DEBUG=DETAIL: hosts of a group meet before each collective
  bool copies_list_by_tensor = false;  // zero1: one reduction in place and gathers of lists of tensors, after the last
                                       // backward pass

  // What runs again, and how kernels run.
  Recompute recompute = Recompute::none;
  std::int64_t recompute_layers = 0;  // full: only this many layers of each chunk; 0 = all
  std::int64_t recompute_group = 1;   // full: layers of a chunk that run again together from the input of the first
  static constexpr std::int64_t whole_chunk = std::numeric_limits<std::int64_t>::max();  // as a group
  RerunList recompute_operators;
  bool recompute_least = false;  // whoever simulates sets the two above to the least that fits
  KernelStyle kernels = KernelStyle::megatron_fused;
  std::optional<KernelStyle> loss_kernels;  // of the output projection's block; none: as `kernels`
  AttentionKernel attention = AttentionKernel::flash;
  CudaGraphs cuda_graphs = CudaGraphs::none;
  bool repeats_kv_heads = false;  // keys and values are copied for each query head before fused attention
  GradientFusion fused_gradient_accumulation = GradientFusion::none;
  bool fused_loss = false;         // loss in chunks: no full logits kept
  std::int64_t metric_losses = 0;  // cross entropies that eager kernels take once more of each micro-batch's logits
  bool dropout = false;

  Offload offload;

  PeakKind peak = PeakKind::allocated;
};

inline bool reshards_after_forward(const Strategy& strategy) {
  return strategy.reshard_after_forward.value_or(strategy.mesh.pipeline == 1);
}

// The grid of a tensor group of several ranks; nothing in one dimension, or where the ranks make none.
std::optional<TensorGrid> tensor_grid(const Strategy& strategy);

// The defaults of a framework as its users meet them; each line says where the default comes from.
Strategy framework_defaults(FrameworkKind framework);

}  // namespace echelon
