// The tasks of data parallelism: parameter gathers before a unit's passes, gradient reductions after them, and the
// memory of gathered parameters and unsharded gradients. What is gathered and reduced, and when, is data_sharding's.
//
// Order of calls for each rank: begin_rank, then gather, release, accumulate, reduce_unit and reduce_stage along its
// schedule.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "strategies/lowering/data_sharding.h"
#include "strategies/lowering/offload_traffic.h"
#include "strategies/pipeline/schedule.h"

namespace echelon {

class DataTraffic {
 public:
  DataTraffic(const LoweringInput& input, const StageShare& share, const DataSharding& sharding,
              OffloadTraffic& offload, Lowering& into);

  void begin_rank();

  // Which units of a stage have their parameters gathered, by index; empty where none ever had.
  using Gathered = std::vector<bool>;
  Gathered& gathered(std::size_t stage);

  // Gathers the parameters of unit `index` of the stage; nothing where they are there already. `passes`: the compute
  // tasks of this action so far, which hold back gathers that would run too far ahead.
  std::optional<TaskId> gather(std::size_t rank, std::size_t stage, std::size_t index, const Action& action,
                               const std::vector<TaskId>& passes);
  // The unit's parameters go when the task that was appended last ends, where they are gathered.
  void release(std::size_t rank, std::size_t stage, std::size_t index);

  // The task that was appended last adds to the whole gradients of unit `index` of the stage; they lie in memory from
  // the first time on, until they are reduced.
  void accumulate(std::size_t rank, std::size_t stage, std::size_t index);
  // Adds a unit's gradients, complete after `pass`, to the open buckets tensor by tensor, last one first, and reduces
  // those that are full, one call after the other; whole units where parameters are gathered by layer. Experts, which
  // other ranks share, fill buckets of their own (Megatron-LM distributed_data_parallel.py, expert_parallel_buffers).
  // `last`: no further unit follows.
  void reduce_unit(std::size_t rank, const Action& action, const StageUnit& unit, TaskId pass, bool last);
  // All of a stage's gradients after its backward pass, with nothing beside it.
  void reduce_stage(std::size_t rank, std::size_t stage, const Action& action);

  // The reduction beside compute that was appended last to the rank's program.
  std::optional<TaskId> last_reduction(std::size_t rank) const;

 private:
  std::int32_t kind_of(std::size_t rank) const { return into_.kind_of[rank]; }
  Stream gather_stream() const;
  WorkId gather_work(std::size_t rank, const StageUnit& unit);
  struct Bucket {
    double dense = 0;
    double routed = 0;
    auto operator<=>(const Bucket&) const = default;
  };
  std::vector<Bucket> filled_buckets(const BlockFacts& facts, bool last);
  WorkId reduce_work(std::size_t rank, const std::vector<Bucket>& buckets);
  Bytes gathered_bytes(const StageUnit& unit) const;
  void hold_until_reduced(Program& program, double elements) const;

  const Strategy& strategy_;
  const Workload& workload_;
  const StageShare& share_;
  const DataSharding& sharding_;
  OffloadTraffic& offload_;
  Lowering& into_;
  std::map<std::int32_t, WorkId> gather_works_;                                  // by block
  std::map<std::pair<std::int32_t, std::vector<Bucket>>, WorkId> reduce_works_;  // by kind of rank
  // Of this rank.
  std::vector<Gathered> gathered_;                             // by stage
  std::set<std::pair<std::size_t, std::size_t>> accumulated_;  // by stage and unit
  std::map<std::size_t, TaskId> last_reduction_;               // by rank
  Bucket open_;  // the one of dense and the one of routed parameters that are not full
};

}  // namespace echelon
