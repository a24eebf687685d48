// What one rank of each pipeline stage holds: its share of every block, which layers lie on which stage and which
// stages on which rank, and the sums that memory and traffic need. Made once from the input and then only read; knows
// no task.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "strategies/block_memory.h"
#include "strategies/lower.h"
#include "strategies/pipeline/schedule.h"

namespace echelon {

// What lower() is given; outlives every part of the lowering.
struct LoweringInput {
  const Model& model;
  const Workload& workload;
  const Strategy& strategy;
  const Placement& placement;
};

// The parts of the result that hold for all ranks: groups, execution, tokens of a micro-batch, local blocks.
Lowering describe_ranks(const LoweringInput& input);

// One layer (or the embedding, or the head) of a stage: the grain in which state is gathered and reduced.
struct StageUnit {
  std::int32_t block = 0;  // of Lowering::blocks
  bool recomputed = false;
  bool offloaded = false;      // its activations wait on the host
  std::int64_t layer = 0;      // of the model; of embedding and head the layer next to them
  std::int32_t follower = -1;  // of StageShare's: runs again from the input of a layer before it; -1 = from its own
};

// The parameters of one operator.
struct ParameterTensor {
  double elements = 0;
  bool routed = false;  // of routed experts
};

// One rank's share of a block.
struct BlockFacts {
  double dense = 0;                      // parameters outside routed experts; the user's of a tied table with its copy
  double routed = 0;                     // parameters of routed experts
  std::vector<ParameterTensor> tensors;  // these, in forward order
  BlockMemory memory;                    // with the strategy's recompute
  BlockMemory memory_without;            // for layers past recompute_layers

  void add(const ParameterTensor& tensor);
};

// Parameters of a set of units, before data-parallel sharding.
struct StageState {
  double dense = 0;
  double routed = 0;
  double tensors = 0;
  std::int32_t kind = 0;  // of the rank that holds them: Lowering::kinds
};

class StageShare {
 public:
  // `described`: what describe_ranks() made of the same input.
  StageShare(const LoweringInput& input, const Lowering& described);

  // The order of passes, planned by Strategy::planned_times or the FLOPs of the stages where it asks for times.
  const Schedule& schedule() const { return schedule_; }
  // Elements of a token that the stage hands to the next one.
  double handed_on(std::size_t stage) const { return handed_on_[stage % handed_on_.size()]; }
  // Stages are counted over all copies of the model that a bidirectional schedule holds.
  std::size_t stage_count() const;
  std::size_t stage_of(std::size_t rank, std::int32_t chunk) const;
  std::size_t rank_of(std::size_t stage) const;
  // Whether nothing lies there: no pass goes through it. The others are neighbours across such stages.
  bool is_empty(std::size_t stage) const { return units(stage).empty(); }
  bool is_first(std::size_t stage) const;
  bool is_last(std::size_t stage) const;
  std::size_t before(std::size_t stage) const;  // `stage` is not the first
  std::size_t after(std::size_t stage) const;   // `stage` is not the last
  // The pipeline ranks of the model's ends; of a bidirectional schedule those of its first and last pipeline.
  std::size_t first_rank() const;
  std::size_t last_rank() const;
  const std::vector<StageUnit>& units(std::size_t stage) const { return stages_[stage % stages_.size()]; }

  const BlockFacts& facts(const StageUnit& unit) const { return facts_[static_cast<std::size_t>(unit.block)]; }
  const BlockMemory& memory(const StageUnit& unit) const;
  // Every rank's share of the output layer and of the embedding, where the pipeline ranks divide them.
  StageUnit output_share() const {
    return {static_cast<std::int32_t>(facts_.size()) - 2, false, false, std::ssize(input_.model.layers) - 1};
  }
  StageUnit embedding_share() const { return {static_cast<std::int32_t>(facts_.size()) - 1}; }
  // Elements of the table that the first and last stage of a pipeline hold a copy of each; 0 where none is tied.
  double tied_table() const { return tied_table_; }
  // Embedding and head form FSDP's root group: gathered at the start of the forward pass and kept to the end of the
  // backward.
  bool is_root(const StageUnit& unit) const;

  StageState stage_state(std::size_t stage) const;
  StageState rank_state(std::size_t rank) const;
  // Of the layers that are synchronised together (LocalSteps).
  StageState fragment_state(std::size_t rank, std::int64_t fragment) const;
  // Lowering::held, of the rank's fullest stage.
  HeldBuffers held(std::size_t rank) const;
  // The largest tensor that passes of the rank make, and that they gather from tensor-parallel ranks.
  Bytes widest(std::size_t rank) const { return largest(rank, &BlockMemory::widest); }
  Bytes gathered(std::size_t rank) const { return largest(rank, &BlockMemory::gathered); }

 private:
  Schedule scheduled(const Lowering& described) const;
  void describe_blocks(const Lowering& described);
  // Sums over the rank's units that `counts`.
  template <class Counts>
  StageState sum_units(std::size_t rank, const Counts& counts) const;
  void lay_stages(const Lowering& described);
  void group_recomputed();
  std::int32_t kind_of_stage(const Lowering& described, std::int64_t stage) const;
  std::size_t model_block(std::size_t block) const { return block % input_.model.blocks.size(); }
  void copy_tied_table(const Lowering& described);
  void copy_shared_table(const GraphFacts& graph);
  std::size_t rank_of_layer(std::size_t layer) const;
  std::vector<StageCost> stage_costs(const Lowering& described) const;
  double weight_share() const;  // as in ScheduleCosts
  bool holds_table_twice() const;
  Bytes largest(std::size_t rank, Bytes BlockMemory::*part) const;

  LoweringInput input_;
  Schedule schedule_;
  double tied_table_ = 0;
  std::vector<BlockFacts> facts_;               // by Lowering::blocks
  std::vector<BlockMemory> followers_;          // StageUnit::follower
  std::vector<std::int32_t> kind_of_;           // by rank
  std::vector<std::vector<StageUnit>> stages_;  // of one copy, first to last
  std::vector<double> handed_on_;               // by stage
};

}  // namespace echelon
