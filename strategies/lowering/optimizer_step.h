// The end of an iteration: gradients that no backward pass reduced, those of tied embeddings, the wait of all pipeline
// ranks for each other, the optimizer, the synchronisation of groups that train apart, the gather of updated weights;
// and what each rank holds throughout.
#pragma once

#include <cstddef>
#include <optional>

#include "strategies/lowering/data_sharding.h"
#include "strategies/lowering/local_rounds.h"
#include "strategies/lowering/offload_traffic.h"
#include "strategies/pipeline/schedule.h"

namespace echelon {

class OptimizerStep {
 public:
  OptimizerStep(const LoweringInput& input, const StageShare& share, const DataSharding& sharding,
                OffloadTraffic& offload, Lowering& into);

  // Called for each rank in order, after all passes of all ranks stand. `last_reduction`: the rank's last gradient
  // reduction beside compute.
  void append(std::size_t rank, std::optional<TaskId> last_reduction);

 private:
  void add_tied_gradients(std::size_t rank, const Action& closing);
  void wait_for_all_ranks(std::size_t rank);
  void synchronise_groups(std::size_t rank, const Action& closing);
  Bytes older_weights(std::size_t rank, const StageState& state) const;

  LoweringInput input_;
  const StageShare& share_;
  const DataSharding& sharding_;
  LocalRounds rounds_;
  OffloadTraffic& offload_;
  Lowering& into_;
  WorkId tied_work_ = -1;
};

}  // namespace echelon
