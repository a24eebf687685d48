#include "sim/config/strategy_keys.h"

namespace echelon {

StrategyKeys execution_keys() {
  return {
      boolean_key<Strategy>("overlap_gradient_reduce", &Strategy::overlap_gradient_reduce,
                            "data-parallel gradient reduction runs beside the backward pass"),
      boolean_key<Strategy>("overlap_parameter_gather", &Strategy::overlap_parameter_gather,
                            "parameter all-gather runs beside compute"),
      boolean_key<Strategy>("overlap_pipeline", &Strategy::overlap_pipeline,
                            "pipeline sends and receives run beside compute"),
      boolean_key<Strategy>("overlap_tensor", &Strategy::overlap_tensor,
                            "tensor-parallel collectives hidden behind their matrix products (async TP)"),
      number_key<Strategy>("overlap_tensor_share", 0, 1, &Strategy::overlap_tensor_share,
                           "share of what those products could hide that they do hide"),
      boolean_key<Strategy>("overlap_weight_gradient", &Strategy::overlap_weight_gradient,
                            "tensor-parallel collectives of the backward pass run beside weight gradients"),
      boolean_key<Strategy>("synchronous_pipeline", &Strategy::synchronous_pipeline,
                            "the host waits for the device at every pipeline send or receive"),
      boolean_key<Strategy>("optimizer_post_validation", &Strategy::optimizer_post_validation,
                            "stages step without waiting for the norm of all gradients, which is checked afterwards, "
                            "and go on to the next iteration (zero bubble's --enable-optimizer-post-validation)"),
      enum_key<BatchFetch, Strategy>("batch_fetch", &Strategy::batch_fetch,
                                     "stages whose forward passes begin with fetching the micro-batch while the device "
                                     "waits: none (ahead), the first and the last, or all"),
      boolean_key<Strategy>("keeps_input_shards", &Strategy::keeps_input_shards,
                            "sequence parallel: keep the shard of a gathered input and gather again backward"),
      boolean_key<Strategy>("divides_messages", &Strategy::divides_messages,
                            "a stage sends 1/tp of the hidden state and gathers it there"),
      boolean_key<Strategy>("keeps_stage_outputs", &Strategy::keeps_stage_outputs,
                            "what a pipeline stage sent on stays until its backward pass"),
      boolean_key<Strategy>("holds_collective_buffers", &Strategy::holds_collective_buffers,
                            "full tensors of collectives stay reserved while the host is ahead of the device"),
      boolean_key<Strategy>("keeps_gather_buffers", &Strategy::keeps_gather_buffers,
                            "the two buffers that sequence parallelism gathers into are never given back"),
      boolean_key<Strategy>("checks_collectives", &Strategy::checks_collectives,
                            "PyTorch checks collectives before they run (TORCH_DISTRIBUTED_DEBUG=DETAIL)"),
      boolean_key<Strategy>("copies_list_by_tensor", &Strategy::copies_list_by_tensor,
                            "zero1: one reduction and gathers of lists of tensors, after the last backward pass"),
      number_key<Strategy>("reduce_bucket_elements", 0, 1e12, &Strategy::reduce_bucket_elements,
                           "gradients that are reduced in one call beside the backward pass; 0: 40 million, or a "
                           "million a data-parallel rank where that is more"),
      enum_key<BackwardPrefetch, Strategy>("backward_prefetch", &Strategy::backward_prefetch,
                                           "zero3 and hybrid ask for the next layer's parameters before (pre) or after "
                                           "(post) the gradients of the present one"),
      boolean_key<Strategy>("repeats_kv_heads", &Strategy::repeats_kv_heads,
                            "keys and values are copied for each query head before fused attention"),
      boolean_key<Strategy>("reorders_sequence_shards", &Strategy::reorders_sequence_shards,
                            "sequence parallel with the batch outermost: gathers and scatters copy the tensor"),
      boolean_key<Strategy>("zero2_divides_parameters", &Strategy::zero2_divides_parameters,
                            "zero2 is FSDP's shard_grad_op: zero3 that gathers once a micro-batch"),
      boolean_key<Strategy>("per_parameter_sharding", &Strategy::per_parameter_sharding,
                            "zero3 and hybrid make FSDP2's copies around their collectives, not FSDP1's"),
      boolean_key<Strategy>("accumulates_unsharded", &Strategy::accumulates_unsharded,
                            "zero3, hybrid, FSDP's shard_grad_op: whole gradients add up and are reduced with the last "
                            "micro-batch alone (FSDP's no_sync)"),
      enum_key<GradientFusion, Strategy>("fused_gradient_accumulation", &Strategy::fused_gradient_accumulation,
                                         "gradient buffers that weight-gradient products add to by themselves"),
      boolean_key<Strategy>(
          "fused_activation", &Strategy::fused_activation,
          "kernels megatron_fused, not gated: the forward pass of an activation is one kernel; false: "
          "one for each of its operations, as where TorchScript does not fuse them"),
      boolean_key<Strategy>("fused_experts", &Strategy::fused_experts,
                            "transformer_engine: experts' biases and clamps run inside their products (Megatron-Core's "
                            "use_transformer_engine_op_fuser)"),
      boolean_key<Strategy>("fused_loss", &Strategy::fused_loss, "loss in chunks: no full logits kept"),
      integer_key<Strategy>("metric_losses", 0, 100, &Strategy::metric_losses,
                            "cross entropies taken once more of each micro-batch's logits, for metrics (Composer: 2)"),
      enum_key<KernelStyle, Strategy>("kernels", &Strategy::kernels, "how pointwise work is fused"),
      {{"loss_kernels", enum_type<KernelStyle>(),
        "the same for the final norm and the loss; as kernels where left out"},
       [](const Value& value, Strategy& strategy) { strategy.loss_kernels = value.one_of<KernelStyle>(); }},
      enum_key<AttentionKernel, Strategy>("attention", &Strategy::attention, "kernel of the attention core"),
      enum_key<CudaGraphs, Strategy>("cuda_graphs", &Strategy::cuda_graphs, "what the host replays as CUDA graphs"),
      boolean_key<Strategy>("dropout", &Strategy::dropout, "dropout runs and keeps its masks"),
      enum_key<PeakKind, Strategy>(
          "peak_memory", &Strategy::peak,
          "what a peak-memory figure counts: live tensors, the allocator's hold, or the device"),
  };
}

}  // namespace echelon
