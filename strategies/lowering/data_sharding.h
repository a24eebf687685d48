// How data parallelism (DDP, ZeRO, FSDP, HSDP) shares parameters, gradients and optimizer states: over which groups,
// when they are gathered and reduced, by which collectives, and what stays resident. Questions and answers only: the
// tasks are data_traffic's.
//
//   none           all-reduce of gradients
//   zero1, zero2   reduce-scatter of gradients, all-gather of the updated parameters
//   zero3, hybrid  all-gather of each layer's parameters before use, reduce-scatter of its gradients after; hybrid then
//                  all-reduces the shards across its replicas
//   shard_grad_op  (zero2 that divides parameters) as zero3, but what the forward pass gathered serves the backward too
#pragma once

#include <cstdint>
#include <vector>

#include "strategies/lowering/stage_share.h"
#include "strategies/state.h"

namespace echelon {

// Which of its stage's micro-batches a pass belongs to, in the order in which they run.
struct MicroBatchTurn {
  bool first = false;
  bool last = false;
};

class DataSharding {
 public:
  // A bidirectional schedule's copies of the model are replicas too. `described`: what describe_ranks() made of the
  // same input.
  DataSharding(const LoweringInput& input, const Schedule& schedule, const Lowering& described);

  bool gathers_by_layer() const;
  // A pipeline keeps the parameters of a backward pass and the unreduced gradients through all its micro-batches
  // (PyTorch's pipelining, stage.py, turns resharding after the backward pass and reduction off until the last one).
  bool keeps_until_last() const { return strategy_.mesh.pipeline > 1; }
  // Whether parameters that were gathered for a forward pass stay there after it.
  bool keeps_gathered() const;
  // Whether whole gradients add up over the micro-batches until they are reduced: in a pipeline, and where the strategy
  // says so. Else each micro-batch's are reduced at once.
  bool accumulates_whole() const {
    return gathers_by_layer() && (keeps_until_last() || strategy_.accumulates_unsharded) && replicas() > 1;
  }
  Bytes unsharded_gradients(double elements) const;  // in the format that they are reduced in
  // Whether gradients are reduced among ranks that share a copy and then across replicas of their shards.
  bool reduces_in_two_steps() const { return shares_parameters() && groups_.front().replica.ranks > 1; }
  // Whether several ranks share one copy of the dense parameters.
  bool shares_parameters() const { return groups_.front().shard.ranks > 1; }
  // Whether gradients leave for the host as soon as they are reduced, or made where nobody shares them: for a step
  // there, but where the device keeps them for all micro-batches (none, zero1).
  bool sheds_gradients() const;
  bool sheds_unreduced() const { return sheds_gradients() && replicas() <= 1; }
  // ZeRO-1 and ZeRO-2 gather the weights that the optimizer updated, once an iteration.
  bool updates_sharded_weights() const;
  // Whether a forward pass waits for parameter gathers layer by layer.
  bool gathers_in_forward(const MicroBatchTurn& turn) const;

  // When gradients are reduced: layer by layer while the backward pass of this micro-batch runs, in one piece after
  // each backward pass, or in one piece once the pipeline has drained. Those of parameters that are gathered by layer
  // go by layer with overlap or without, as there is no room for all of them (DeepSpeed runtime/zero/stage3.py reduces
  // a bucket that is full and frees it; PyTorch's FSDP reduces in the hook behind each unit's backward pass).
  bool reduces_by_layer(const MicroBatchTurn& turn) const;
  bool reduces_after_each_backward() const;
  bool reduces_at_the_end() const;
  // Whether a reduction runs beside compute.
  bool overlaps_reduction() const;

  // State of one rank before sharding -> the collectives that gather its parameters or reduce its gradients.
  CollectiveChain gather_chain(const StageState& state) const;
  CollectiveChain reduce_chain(const StageState& state) const;
  // The same for a whole rank once its last backward pass is over, with what the framework copies around them.
  CollectiveChain closing_reduction(const StageState& state) const;
  CollectiveChain closing_gather(const StageState& state) const;
  // Whether closing_gather() copies lists of tensors.
  bool copies_gathered() const { return strategy_.copies_list_by_tensor && updates_sharded_weights(); }
  // What it copies them through; `widest`: the largest tensor that passes of the rank make.
  GatherBuffers gather_buffers(const StageState& state, Bytes widest) const;

  // Elements that one rank's optimizer updates.
  double owned_elements(const StageState& state) const;
  // Bytes of their gradients on the device: as reduced where they leave at once, else as accumulated.
  Bytes owned_gradients(const StageState& state) const;
  // Bytes of parameters, gradients and optimizer states that one rank holds all through the iteration.
  MemoryByCategory resident_memory(const StageState& state) const;
  // Bytes more while its optimizer runs.
  Bytes step_memory(const StageState& state) const;

 private:
  ShardedState dense_part(const StageState& state) const;
  ShardedState routed_part(const StageState& state) const;
  // The groups of one kind of rank.
  struct Groups {
    GroupLayout data;     // replicas of a dense parameter
    GroupLayout expert;   // replicas of a routed expert's parameter
    GroupLayout shard;    // ranks that share one copy of the dense state
    GroupLayout replica;  // hybrid: ranks that hold the same shard
  };

  Groups groups_of(const LoweringInput& input, const Schedule& schedule, const RankKind& kind) const;
  const Groups& of(const StageState& state) const { return groups_[static_cast<std::size_t>(state.kind)]; }
  // Of a dense parameter: as many for every kind of rank.
  std::int64_t replicas() const { return groups_.front().data.ranks; }
  CollectiveChain chain(CollectiveKind kind, Bytes element, const GroupLayout& dense_group,
                        const StageState& state) const;
  bool reduces_in_one_piece() const;
  bool reduces_every_micro_batch() const;
  bool keeps_narrow_gradients() const;
  double expert_shards(const StageState& state) const;

  const Strategy& strategy_;
  const Workload& workload_;
  Sharding sharding_ = Sharding::none;  // of the state
  bool updates_every_micro_batch_ = false;
  std::vector<Groups> groups_;  // by kind of rank
};

}  // namespace echelon
