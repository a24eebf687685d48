// The copies between a rank and its host: gradients down and weights up around an optimizer that runs there, parameter
// shards up before their gathers, activations down after their forward pass and up before their backward pass; and the
// host memory that they fill.
//
// Copies run on streams of their own, one a direction. At most two layers' activations wait on their way down and two
// on their way up, and at most two pieces of gradients: whatever would make a third waits. What that costs is what of a
// copy sticks out of compute.
//
// What an outer optimizer keeps moves around its step, and training waits.
//
// Order of calls for each rank: begin_rank; begin_action for each pass of its schedule, then the calls of that pass;
// host_memory last.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "strategies/lowering/data_sharding.h"
#include "strategies/pipeline/schedule.h"

namespace echelon {

// One unit of one stage in one pass.
struct UnitPass {
  std::size_t rank = 0;
  std::size_t stage = 0;
  std::size_t index = 0;
  Action action;
};

class OffloadTraffic {
 public:
  OffloadTraffic(const LoweringInput& input, const StageShare& share, const DataSharding& sharding, Lowering& into);

  void begin_rank();
  void begin_action(std::size_t rank);

  // Whether a pass is written layer by layer for the sake of offload.
  bool splits(const Action& action) const;

  // Activations of a backward pass that is about to be appended; it depends on what is returned.
  std::optional<TaskId> bring_activations(const UnitPass& pass);
  // `task`, the pass that was appended last, waits for room for the activations that it makes or brought.
  void hold_back(const UnitPass& pass, TaskId task);
  // Sends the activations of a forward pass down, once everything that belongs to `task` stands.
  void take_activations(const UnitPass& pass, TaskId task);

  // The shard of the unit's parameters, before its gather or, where nobody shares them, in its stead.
  std::optional<TaskId> bring_parameters(const UnitPass& pass, const std::vector<TaskId>& passes);
  // The task that was appended last has read the shard that bring_parameters() brought.
  void release_shard(const UnitPass& pass);

  // Gradients of `part`, complete when the task that was appended last ends, go down if they do not stay.
  void shed_gradients(std::size_t rank, const Action& action, const StageState& part);
  // The same where no reduction follows the pass.
  void shed_unreduced(const UnitPass& pass);

  // Around the optimizer step: what is not down yet; the step itself; the last copy that it waits for; and the weights.
  void close_gradients(std::size_t rank, const Action& closing, const StageState& state);
  OptimizerWork step(const StageState& state) const;
  std::optional<TaskId> last_shed(std::size_t rank) const;
  void move_weights(std::size_t rank, const Action& closing, const StageState& state);

  // Around the synchronisation of groups that train apart: what the outer optimizer keeps of a fragment comes up, part
  // of it to be held, and goes down. Nothing where it stays on the device.
  struct OuterState {
    Bytes copied;
    Bytes held;
  };
  void bring_outer(std::size_t rank, const Action& closing, const OuterState& state);
  void take_outer(std::size_t rank, const Action& closing, Bytes held);

  // Bytes that one rank fills on the host, at most; without what an outer optimizer keeps.
  Bytes host_memory(std::size_t rank, const StageState& state) const;

 private:
  using Slot = std::tuple<std::size_t, std::size_t, std::int32_t, std::int32_t>;  // stage, unit, micro-batch, slice

  static Slot slot_of(const UnitPass& pass);
  StageState unit_state(const UnitPass& pass) const;
  bool takes(const UnitPass& pass) const;
  Bytes activation_bytes(const UnitPass& pass) const;
  Bytes shard_bytes(const UnitPass& pass) const;
  WorkId copy_work(std::size_t rank, Bytes bytes, CopyDirection direction, OffloadTarget target);
  TaskId append_copy(std::size_t rank, const Action& action, Stream stream, WorkId work);

  const Strategy& strategy_;
  const Workload& workload_;
  const StageShare& share_;
  const DataSharding& sharding_;
  Lowering& into_;
  std::map<std::tuple<std::int32_t, double, CopyDirection, OffloadTarget>, WorkId> works_;  // by kind of rank
  // Of this rank.
  std::map<Slot, TaskId> taken_;
  std::vector<TaskId> activations_down_;
  std::vector<TaskId> gradients_down_;
  std::optional<TaskId> before_action_;
  std::vector<TaskId> bringing_;  // passes of this action whose activations were brought
  Bytes on_host_;                 // activations there, in the order of the program
  // By rank.
  std::map<std::size_t, TaskId> last_shed_;
  std::map<std::size_t, Bytes> most_on_host_;
};

}  // namespace echelon
