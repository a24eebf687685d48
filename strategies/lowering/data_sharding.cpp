#include "strategies/lowering/data_sharding.h"

#include <algorithm>

#include "strategies/mesh.h"
#include "strategies/state.h"

namespace echelon {

DataSharding::DataSharding(const LoweringInput& input, const Schedule& schedule)
    : strategy_(input.strategy),
      workload_(input.workload),
      sharding_(state_sharding(input.strategy)),
      updates_every_micro_batch_(schedule.versions == WeightVersions::in_flight) {
  const std::int64_t gpus_per_node = input.placement.gpus_per_node;
  data_ = data_with_context_layout(strategy_.mesh, gpus_per_node);
  expert_ = expert_data_layout(strategy_.mesh, gpus_per_node);
  expert_.members = Communicator::expert_data;
  if (schedule.layout == StageLayout::bidirectional) {
    data_.ranks *= schedule.shape.chunks;
    expert_.ranks *= schedule.shape.chunks;
  }
  shard_ = data_;
  if (sharding_ != Sharding::hybrid) return;
  const std::int64_t wanted = strategy_.shard_ranks > 0 ? strategy_.shard_ranks : gpus_per_node;
  shard_.members = Communicator::shard;
  shard_.ranks = std::min(data_.ranks, wanted);
  shard_.ranks_per_node = std::min(shard_.ranks, data_.ranks_per_node);
  replica_ = {data_.ranks / shard_.ranks, std::max<std::int64_t>(1, data_.ranks_per_node / shard_.ranks_per_node),
              Communicator::replica};
}

bool DataSharding::gathers_by_layer() const {
  const bool kept_elsewhere = shard_.ranks > 1 || strategy_.offload.parameters != OffloadTarget::none;
  return (sharding_ == Sharding::zero3 || sharding_ == Sharding::hybrid) && kept_elsewhere;
}

bool DataSharding::sheds_gradients() const {
  return strategy_.offload.optimizer != OffloadTarget::none && sharding_ >= Sharding::zero2;
}

bool DataSharding::keeps_gathered() const {
  return gathers_once() || !strategy_.reshard_after_forward || strategy_.sharding == Sharding::zero2;
}

bool DataSharding::updates_sharded_weights() const {
  return (sharding_ == Sharding::zero1 || sharding_ == Sharding::zero2) && data_.ranks > 1;
}

bool DataSharding::gathers_in_forward(const MicroBatchTurn& turn) const {
  return gathers_by_layer() || (strategy_.overlap_parameter_gather && turn.first && updates_sharded_weights());
}

bool DataSharding::reduces_every_micro_batch() const {
  return updates_every_micro_batch_ || (gathers_by_layer() && !accumulates_whole() && !gathers_once()) ||
         (sharding_ == Sharding::zero2 && data_.ranks > 1);
}

// nanotron's trainer.py leaves the reduction to DistributedDataParallel where the optimizer is whole; where it is
// sharded, one reduction follows the last backward pass.
bool DataSharding::overlaps_reduction() const {
  const bool waits = strategy_.copies_list_by_tensor && sharding_ != Sharding::none;
  return strategy_.overlap_gradient_reduce && !waits;
}

bool DataSharding::reduces_after_each_backward() const {
  return data_.ranks > 1 && !overlaps_reduction() && reduces_every_micro_batch();
}

bool DataSharding::reduces_at_the_end() const {
  return data_.ranks > 1 && !overlaps_reduction() && !reduces_every_micro_batch();
}

Bytes DataSharding::unsharded_gradients(double elements) const {
  return element_size(workload_.precision.gradient_reduce) * elements;
}

bool DataSharding::reduces_by_layer(const MicroBatchTurn& turn) const {
  if (data_.ranks <= 1 || !overlaps_reduction()) return false;
  return reduces_every_micro_batch() || turn.last;
}

CollectiveChain DataSharding::chain(CollectiveKind kind, Bytes element, const GroupLayout& group, double dense,
                                    double routed) const {
  CollectiveChain result;
  if (dense > 0 && group.ranks > 1) result.calls.push_back({kind, group, element * dense, 1});
  if (routed > 0 && expert_.ranks > 1) result.calls.push_back({kind, expert_, element * routed, 1});
  return result;
}

CollectiveChain DataSharding::gather_chain(double dense, double routed) const {
  return chain(CollectiveKind::all_gather, gathered_weight(workload_), shard_, dense, routed);
}

CollectiveChain DataSharding::reduce_chain(double dense, double routed) const {
  const Bytes element = element_size(workload_.precision.gradient_reduce);
  if (sharding_ == Sharding::none) return chain(CollectiveKind::all_reduce, element, data_, dense, routed);
  CollectiveChain result = chain(CollectiveKind::reduce_scatter, element, shard_, dense, routed);
  if (sharding_ == Sharding::hybrid && replica_.ranks > 1)
    result.calls.push_back(
        {CollectiveKind::all_reduce, replica_, element * (dense / static_cast<double>(shard_.ranks)), 1});
  return result;
}

// nanotron's distributed.py joins the parts of all tensors rank by rank, torch.distributed copies that list into one
// buffer, and back the same way: each copy reads and writes the whole. What was reduced leaves one tensor at a time,
// what was gathered one rank's part of one tensor at a time.
CollectiveChain DataSharding::closing_reduction(const StageState& state) const {
  CollectiveChain result = reduce_chain(state.dense, state.routed);
  if (!strategy_.copies_list_by_tensor || sharding_ == Sharding::none) return result;
  const Bytes whole = element_size(workload_.precision.gradient_reduce) * (state.dense + state.routed);
  result.copies = {whole * 4, state.tensors};
  return result;
}

CollectiveChain DataSharding::closing_gather(const StageState& state) const {
  CollectiveChain result = gather_chain(state.dense, state.routed);
  if (!strategy_.copies_list_by_tensor) return result;
  const Bytes whole = gathered_weight(workload_) * (state.dense + state.routed);
  result.copies = {whole * 6, state.tensors * static_cast<double>(shard_.ranks)};
  return result;
}

double DataSharding::expert_shards() const {
  return static_cast<double>(std::max<std::int64_t>(1, expert_.ranks));
}

double DataSharding::owned_elements(const StageState& state) const {
  if (sharding_ == Sharding::none) return state.dense + state.routed;
  return state.dense / static_cast<double>(shard_.ranks) + state.routed / expert_shards();
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
  return sharded_state(state.dense, state_bytes(workload_), sharding_, static_cast<double>(shard_.ranks));
}

ShardedState DataSharding::routed_part(const StageState& state) const {
  return sharded_state(state.routed, state_bytes(workload_), sharding_, expert_shards());
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
