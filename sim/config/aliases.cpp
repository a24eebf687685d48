#include "sim/config/aliases.h"

#include <algorithm>
#include <array>

namespace echelon {

namespace {

struct Alias {
  std::string_view word;  // in lower case
  std::string_view meant;
};

// Arguments of Megatron-LM, keys of torchtitan's and DeepSpeed's configurations, classes of PyTorch, and the short
// forms of all of them.
constexpr auto aliases = std::to_array<Alias>({
    {"tp", "tensor_parallel"},
    {"tp_size", "tensor_parallel"},
    {"tensor_model_parallel_size", "tensor_parallel"},
    {"tensor_parallel_degree", "tensor_parallel"},
    {"pp", "pipeline_parallel"},
    {"pp_size", "pipeline_parallel"},
    {"pipeline_model_parallel_size", "pipeline_parallel"},
    {"pipeline_parallel_degree", "pipeline_parallel"},
    {"cp", "context_parallel"},
    {"context_parallel_size", "context_parallel"},
    {"context_parallel_degree", "context_parallel"},
    {"ep", "expert_parallel"},
    {"expert_model_parallel_size", "expert_parallel"},
    {"expert_parallel_degree", "expert_parallel"},
    {"etp", "expert_tensor_parallel"},
    {"expert_tensor_parallel_size", "expert_tensor_parallel"},
    {"dp", "data_parallel"},
    {"data_parallel_size", "data_parallel"},
    {"data_parallel_replicate_degree", "data_parallel"},
    {"vpp", "virtual_stages"},
    {"virtual_pipeline", "virtual_stages"},
    {"virtual_pipeline_parallel", "virtual_stages"},
    {"virtual_pipeline_model_parallel_size", "virtual_stages"},
    {"zero", "sharding"},
    {"zero_stage", "sharding"},
    {"zero_optimization", "sharding"},
    {"fsdp", "sharding"},
    {"distributed_optimizer", "sharding"},
    {"use_distributed_optimizer", "sharding"},
    {"data_parallel_sharding_strategy", "sharding"},
    {"recompute_granularity", "recompute"},
    {"recompute_method", "recompute"},
    {"recompute_num_layers", "recompute"},
    {"enable_optimizer_post_validation", "optimizer_post_validation"},
    {"activation_checkpoint", "recompute"},
    {"activation_checkpointing", "recompute"},
    {"pipeline_parallel_schedule", "schedule"},
    {"micro_batch_size", "micro_batch"},
    {"local_batch_size", "micro_batch"},
    {"train_micro_batch_size_per_gpu", "micro_batch"},
    {"global_batch", "workload.global_batch"},
    {"global_batch_size", "global_batch"},
    {"global_batch_size", "workload.global_batch"},
    {"train_batch_size", "global_batch"},
    {"gradient_accumulation", "workload.global_batch"},
    {"gradient_accumulation_steps", "workload.global_batch"},
    {"seq_len", "sequence_length"},
    {"seq_len", "workload.sequence_length"},
    {"seq_length", "sequence_length"},
    {"seq_length", "workload.sequence_length"},
    {"sequence_length", "workload.sequence_length"},
    {"precision", "workload.precision"},
    {"dtype", "precision"},
    {"dtype", "workload.precision"},
    // sharding
    {"0", "none"},
    {"1", "zero1"},
    {"2", "zero2"},
    {"3", "zero3"},
    {"ddp", "none"},
    {"no_shard", "none"},
    {"shard_grad_op", "zero2"},
    {"fsdp", "zero3"},
    {"fsdp2", "zero3"},
    {"full_shard", "zero3"},
    {"hsdp", "hybrid"},
    {"hybrid_shard", "hybrid"},
    // schedule
    {"interleaved1f1b", "interleaved"},
    {"interleavedzerobubble", "interleaved_zb"},
    {"loopedbfs", "looped_bfs"},
    {"zbvzerobubble", "zb_v"},
    {"dualpipev", "dualpipe_v"},
    // context_exchange, by --cp-comm-type
    {"p2p", "ring"},
    {"a2a", "all_to_all"},
    {"ulysses", "all_to_all"},
    {"a2a+p2p", "all_to_all_ring"},
    // offload
    {"cpu", "host"},
});

}  // namespace

std::vector<std::string> neighbours_of(std::string_view path) {
  if (path != "strategy") return {};
  return {"workload.global_batch", "workload.sequence_length", "workload.precision"};
}

std::optional<std::string> alias_of(std::string_view word, const std::vector<std::string>& known) {
  const auto same_letter = [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b); };
  for (const Alias& alias : aliases)
    if (std::equal(alias.word.begin(), alias.word.end(), word.begin(), word.end(), same_letter) &&
        std::find(known.begin(), known.end(), alias.meant) != known.end())
      return std::string(alias.meant);
  return std::nullopt;
}

}  // namespace echelon
