#include <array>

#include "sim/base/error.h"
#include "strategies/strategy.h"

namespace echelon {

Strategy framework_defaults(FrameworkKind framework) {
  Strategy strategy;
  strategy.framework = framework;
  switch (framework) {
    case FrameworkKind::megatron:  // Megatron-LM arguments.py: fused kernels and the asynchronous all-reduce are on
      strategy.kernels = KernelStyle::megatron_fused;
      strategy.overlap_weight_gradient = true;
      strategy.fused_gradient_accumulation = GradientFusion::any;
      strategy.keeps_input_shards = true;  // arXiv:2205.05198, section 4.2.2
      strategy.divides_messages = true;    // arXiv:2104.04473, section 4.1
      break;
    case FrameworkKind::torchtitan:  // torchtitan job configuration defaults: FSDP2, selective recompute
      strategy.kernels = KernelStyle::eager;
      strategy.sharding = Sharding::zero3;
      strategy.zero2_divides_parameters = true;  // reshard_after_forward: never
      strategy.recompute = Recompute::selective_ops;
      strategy.overlap_gradient_reduce = true;
      strategy.overlap_parameter_gather = true;
      strategy.overlap_pipeline = true;
      // Makes the ratio of Llama 3.1 70B's float8 runs on 256 H100, 829 tokens/s a GPU without and 876 with
      // asynchronous tensor parallelism (benchmarks/llama3_h100_202412_torchtitan.md, table 4).
      strategy.overlap_tensor_share = 0.27;
      strategy.per_parameter_sharding = true;
      strategy.reduce_bucket_elements = 100 * 1048576.0 / 4;  // without FSDP: apply_ddp's bucket_cap_mb, fp32 gradients
      strategy.repeats_kv_heads = true;                       // models/llama/model.py: repeat_kv
      // Shard(1): torch/distributed/_functional_collectives.py chunks and joins.
      strategy.reorders_sequence_shards = true;
      strategy.peak = PeakKind::reserved;  // train.py reports max_memory_reserved
      break;
    case FrameworkKind::deepspeed:  // DeepSpeed config-json: overlap_comm is off below ZeRO-3
      strategy.kernels = KernelStyle::megatron_fused;
      strategy.sharding = Sharding::zero1;
      strategy.keeps_input_shards = true;     // through Megatron-LM's layers
      strategy.keeps_stage_outputs = true;    // runtime/pipe/engine.py: pipe_buffers["outputs"]
      strategy.reduce_bucket_elements = 5e8;  // zero_optimization.reduce_bucket_size
      break;
    case FrameworkKind::fsdp:  // PyTorch FullyShardedDataParallel: FULL_SHARD, backward prefetch
      strategy.kernels = KernelStyle::eager;
      strategy.sharding = Sharding::zero3;
      strategy.zero2_divides_parameters = true;  // ShardingStrategy.SHARD_GRAD_OP (PyTorch FSDP documentation)
      strategy.reduce_bucket_elements = 25 * 1048576.0 / 4;  // without it DistributedDataParallel's bucket_cap_mb
      strategy.overlap_gradient_reduce = true;
      strategy.overlap_parameter_gather = true;
      break;
    case FrameworkKind::nanotron:  // nanotron config defaults: REDUCE_SCATTER tensor parallelism, fp32 accumulation
      strategy.kernels = KernelStyle::nanotron;
      strategy.thresholds_stages = true;
      strategy.keeps_input_shards = true;  // parallelism_config.py: tp_recompute_allgather
      strategy.holds_collective_buffers = true;
      strategy.keeps_gather_buffers = true;
      strategy.overlap_weight_gradient = true;  // tensor_parallel/functional.py, asynchronous
      strategy.overlap_gradient_reduce = true;  // trainer.py: DistributedDataParallel, unless the optimizer is sharded
      strategy.reduce_bucket_elements = 25 * 1048576.0 / 2;  // its bucket_cap_mb, in bf16 gradients
      strategy.copies_list_by_tensor = true;                 // distributed.py: all_gather_coalesced
      strategy.sequence_parallel = true;
      break;
  }
  return strategy;
}

}  // namespace echelon
