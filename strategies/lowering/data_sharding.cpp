#include "strategies/lowering/data_sharding.h"

#include <algorithm>

#include "strategies/lowering/rank_kinds.h"
#include "strategies/mesh.h"
#include "strategies/state.h"

namespace echelon {

DataSharding::DataSharding(const LoweringInput& input, const Schedule& schedule, const Lowering& described)
    : strategy_(input.strategy),
      workload_(input.workload),
      sharding_(state_sharding(input.strategy)),
      updates_every_micro_batch_(schedule.versions == WeightVersions::in_flight) {
  for (const RankKind& kind : described.kinds) groups_.push_back(groups_of(input, schedule, kind));
}

DataSharding::Groups DataSharding::groups_of(const LoweringInput& input, const Schedule& schedule,
                                             const RankKind& kind) const {
  const std::int64_t gpus_per_node = input.placement.gpus_per_node;
  const Mesh mesh = stage_mesh(strategy_.mesh, kind.program);
  Groups groups;
  groups.data = data_with_context_layout(mesh, gpus_per_node);
  groups.expert = expert_data_layout(mesh, gpus_per_node);
  groups.expert.members = Communicator::expert_data;
  if (schedule.layout == StageLayout::bidirectional) {
    const bool on_one_node = pipeline_ranks_share_node(mesh, 0, mesh.pipeline - 1, gpus_per_node);
    for (GroupLayout* group : {&groups.data, &groups.expert}) {
      group->ranks *= schedule.shape.chunks;
      if (on_one_node) group->ranks_per_node *= schedule.shape.chunks;
    }
  }
  groups.shard = groups.data;
  if (sharding_ == Sharding::hybrid) {
    const std::int64_t wanted = strategy_.shard_ranks > 0 ? strategy_.shard_ranks : gpus_per_node;
    groups.shard.members = Communicator::shard;
    groups.shard.ranks = std::min(groups.data.ranks, wanted);
    groups.shard.ranks_per_node = std::min(groups.shard.ranks, groups.data.ranks_per_node);
    groups.shard.least_per_node = std::min(groups.shard.ranks_per_node, groups.data.least_per_node);
    groups.replica = {groups.data.ranks / groups.shard.ranks,
                      std::max<std::int64_t>(1, groups.data.ranks_per_node / groups.shard.ranks_per_node),
                      Communicator::replica};
  }
  if (kind.machines.size() > 1)
    for (GroupLayout* group : {&groups.data, &groups.expert, &groups.shard, &groups.replica})
      group->bridges = joins_groups(communicator_groups(strategy_.mesh, *group, kind.program), input.placement);
  return groups;
}

bool DataSharding::gathers_by_layer() const {
  const bool kept_elsewhere = shares_parameters() || strategy_.offload.parameters != OffloadTarget::none;
  return (sharding_ == Sharding::zero3 || sharding_ == Sharding::hybrid) && kept_elsewhere;
}

bool DataSharding::sheds_gradients() const {
  return strategy_.offload.optimizer != OffloadTarget::none && sharding_ >= Sharding::zero2;
}

bool DataSharding::keeps_gathered() const {
  return !reshards_after_forward(strategy_) || strategy_.sharding == Sharding::zero2;
}

bool DataSharding::updates_sharded_weights() const {
  return (sharding_ == Sharding::zero1 || sharding_ == Sharding::zero2) && replicas() > 1;
}

bool DataSharding::gathers_in_forward(const MicroBatchTurn& turn) const {
  return gathers_by_layer() || (strategy_.overlap_parameter_gather && turn.first && updates_sharded_weights());
}

bool DataSharding::reduces_every_micro_batch() const {
  return updates_every_micro_batch_ || (gathers_by_layer() && !accumulates_whole() && !keeps_until_last()) ||
         (sharding_ == Sharding::zero2 && replicas() > 1);
}

// nanotron's trainer.py leaves the reduction to DistributedDataParallel where the optimizer is whole; where it is
// sharded, one reduction follows the last backward pass.
bool DataSharding::overlaps_reduction() const {
  const bool waits = strategy_.copies_list_by_tensor && sharding_ != Sharding::none;
  return strategy_.overlap_gradient_reduce && !waits;
}

bool DataSharding::reduces_in_one_piece() const {
  return replicas() > 1 && !overlaps_reduction() && !gathers_by_layer();
}

bool DataSharding::reduces_after_each_backward() const {
  return reduces_in_one_piece() && reduces_every_micro_batch();
}

bool DataSharding::reduces_at_the_end() const {
  return reduces_in_one_piece() && !reduces_every_micro_batch();
}

Bytes DataSharding::unsharded_gradients(double elements) const {
  return element_size(workload_.precision.gradient_reduce) * elements;
}

bool DataSharding::reduces_by_layer(const MicroBatchTurn& turn) const {
  if (replicas() <= 1 || reduces_in_one_piece()) return false;
  return reduces_every_micro_batch() || turn.last;
}

CollectiveChain DataSharding::chain(CollectiveKind kind, Bytes element, const GroupLayout& dense_group,
                                    const StageState& state) const {
  CollectiveChain result;
  const GroupLayout& expert = of(state).expert;
  if (state.dense > 0 && dense_group.ranks > 1) result.calls.push_back({kind, dense_group, element * state.dense, 1});
  if (state.routed > 0 && expert.ranks > 1) result.calls.push_back({kind, expert, element * state.routed, 1});
  return result;
}

CollectiveChain DataSharding::gather_chain(const StageState& state) const {
  return chain(CollectiveKind::all_gather, gathered_weight(workload_), of(state).shard, state);
}

CollectiveChain DataSharding::reduce_chain(const StageState& state) const {
  const Bytes element = element_size(workload_.precision.gradient_reduce);
  const auto& [data, expert, shard, replica] = of(state);
  if (sharding_ == Sharding::none) return chain(CollectiveKind::all_reduce, element, data, state);
  CollectiveChain result = chain(CollectiveKind::reduce_scatter, element, shard, state);
  if (sharding_ == Sharding::hybrid && replica.ranks > 1)
    result.calls.push_back(
        {CollectiveKind::all_reduce, replica, element * (state.dense / static_cast<double>(shard.ranks)), 1});
  return result;
}

// nanotron keeps a reduce-scatter of its lists for want of memory turned off (trainer.py: reduce_scatter=False): the
// fp32 sums, one tensor, are all-reduced where they lie.
CollectiveChain DataSharding::closing_reduction(const StageState& state) const {
  if (!strategy_.copies_list_by_tensor || sharding_ == Sharding::none) return reduce_chain(state);
  return chain(CollectiveKind::all_reduce, element_size(workload_.precision.gradient_reduce), of(state).data, state);
}

// nanotron's distributed.py joins the parts of all tensors rank by rank, torch.distributed copies that list into one
// buffer, and back the same way: each copy reads and writes the whole. What was gathered leaves one rank's part of one
// tensor at a time.
CollectiveChain DataSharding::closing_gather(const StageState& state) const {
  CollectiveChain result = gather_chain(state);
  if (!strategy_.copies_list_by_tensor) return result;
  const Bytes whole = gathered_weight(workload_) * (state.dense + state.routed);
  result.copies = {whole * 6, state.tensors * static_cast<double>(of(state).shard.ranks)};
  return result;
}

// Each rank's parts of all tensors joined, and all of those in one (ProcessGroupNCCL.cpp: newLikeFlat). A block beyond
// 10 MiB has a segment of its own, never joined to another's (c10/cuda/CUDACachingAllocator.cpp): what is larger than
// the largest tensor of any pass finds no room in what passes left.
GatherBuffers DataSharding::gather_buffers(const StageState& state, Bytes widest) const {
  const auto ranks = static_cast<double>(of(state).shard.ranks);
  const Bytes joined = gathered_weight(workload_) * (state.dense + state.routed);
  const Bytes part = joined / ranks;
  GatherBuffers buffers{joined * 2 + part, Bytes(0)};
  if (joined > widest) buffers.unfit += joined;
  if (part > widest) buffers.unfit += joined;
  return buffers;
}

double DataSharding::expert_shards(const StageState& state) const {
  return static_cast<double>(std::max<std::int64_t>(1, of(state).expert.ranks));
}

double DataSharding::owned_elements(const StageState& state) const {
  if (sharding_ == Sharding::none) return state.dense + state.routed;
  return state.dense / static_cast<double>(of(state).shard.ranks) + state.routed / expert_shards(state);
}

Bytes DataSharding::owned_gradients(const StageState& state) const {
  const Bytes element =
      sheds_gradients() ? element_size(workload_.precision.gradient_reduce) : state_bytes(workload_).gradient;
  return element * owned_elements(state);
}

// Whether every gradient is there once more in the format of the weights, beside the fp32 sums. nanotron's trainer.py
// wraps the model in PyTorch's DistributedDataParallel unless it shards the optimizer, whose buckets hold them;
// DeepSpeed's BF16_Optimizer, of ZeRO-0 and ZeRO-1, zeroes the gradients that it has added to its own, and keeps them.
bool DataSharding::keeps_narrow_gradients() const {
  if (strategy_.framework == FrameworkKind::nanotron) return sharding_ == Sharding::none;
  return strategy_.framework == FrameworkKind::deepspeed && sharding_ <= Sharding::zero1 &&
         element_size(workload_.precision.gradient) > compute_weight(workload_);
}

ShardedState DataSharding::dense_part(const StageState& state) const {
  return sharded_state(state.dense, state_bytes(workload_), sharding_, static_cast<double>(of(state).shard.ranks));
}

ShardedState DataSharding::routed_part(const StageState& state) const {
  return sharded_state(state.routed, state_bytes(workload_), sharding_, expert_shards(state));
}

Bytes DataSharding::step_memory(const StageState& state) const {
  if (strategy_.offload.optimizer != OffloadTarget::none) return Bytes(0);
  return dense_part(state).step + routed_part(state).step;
}

MemoryByCategory DataSharding::resident_memory(const StageState& state) const {
  const ShardedState dense = dense_part(state);
  const ShardedState routed = routed_part(state);
  MemoryByCategory memory{};
  const auto at = [&memory](MemoryCategory category) -> Bytes& { return memory[static_cast<std::size_t>(category)]; };
  if (strategy_.offload.parameters == OffloadTarget::none)
    at(MemoryCategory::parameters) = dense.parameters + routed.parameters;
  if (!sheds_gradients()) at(MemoryCategory::gradients) = dense.gradients + routed.gradients;
  if (strategy_.offload.optimizer == OffloadTarget::none)
    at(MemoryCategory::optimizer) = dense.optimizer + routed.optimizer;
  if (keeps_narrow_gradients())
    at(MemoryCategory::gradients) += compute_weight(workload_) * (state.dense + state.routed);
  return memory;
}

}  // namespace echelon
