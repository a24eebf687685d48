// Passes of embedding and output layer where all pipeline ranks share them, and what the ranks exchange for them
// (strategies/pipeline/vocabulary.h).
//
// A collective is one task, on the rank that holds the last stage (broadcast of hidden states, sums, input gradients)
// or the first (embeddings and their gradients): it waits for every rank's pass, and the passes that need it wait for
// it. Collectives run beside compute; synchronous ones hold back whatever their ranks do next. Ranks are written one
// after another, so that both ends may be missing. Order of calls: (append | await | follow)* for all ranks, then
// resolve once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "strategies/lowering/data_traffic.h"
#include "strategies/lowering/stage_share.h"
#include "strategies/pipeline/vocabulary.h"

namespace echelon {

class VocabularyPasses {
 public:
  VocabularyPasses(const LoweringInput& input, const StageShare& share, const DataSharding& sharding,
                   DataTraffic& traffic, Lowering& into);

  // Whether the ranks share them at all; else await() and follow() do nothing.
  bool any() const { return method_ != VocabularyParallel::none; }
  // A pass of a rank's share of the output layer or of the embedding.
  void append(std::size_t rank, const Action& action);
  // The task that was appended last, a pass of layers, waits for what it needs of the vocabulary's passes.
  void await(std::size_t rank, std::size_t stage, const Action& action);
  // Sends on what that pass made for them.
  void follow(std::size_t rank, std::size_t stage, const Action& action);
  // Puts tasks in place of what was left open.
  void resolve();

 private:
  struct Missing {
    VocabularyEvent event = VocabularyEvent::hidden;
    std::int32_t micro_batch = 0;
    std::int32_t maker = -1;  // rank whose pass is meant; -1: the collective
  };

  std::size_t slot(VocabularyEvent event, std::int32_t micro_batch) const;
  StageEnds ends_of(std::size_t stage) const { return {share_.is_first(stage), share_.is_last(stage)}; }
  std::size_t leader(VocabularyEvent event) const;
  void depend(std::size_t rank, const Missing& missing);
  void wait_for(std::size_t rank, const Action& action, StageEnds ends);
  void make(std::size_t rank, const Action& action, VocabularyEvent event, TaskId pass);
  const std::vector<CollectiveWork>& calls(VocabularyEvent event) const {
    return calls_[static_cast<std::size_t>(event)];
  }
  WorkId exchange_work(VocabularyEvent event);
  WorkId pass_work(std::size_t rank, const Action& action);
  void add_memory_effect(Program& program, const Action& action) const;

  const Strategy& strategy_;
  const StageShare& share_;
  const DataSharding& sharding_;
  DataTraffic& traffic_;
  Lowering& into_;
  VocabularyParallel method_;
  std::array<std::vector<CollectiveWork>, vocabulary_events> calls_;  // by event; empty: nothing is exchanged
  std::array<WorkId, vocabulary_events> exchange_works_{};
  std::map<std::pair<ActionPart, Pass>, WorkId> pass_works_;
  std::vector<TaskReference> exchanges_;     // by slot
  std::vector<std::vector<TaskId>> makers_;  // by event of all ranks' passes and micro-batch, by rank
  std::vector<Missing> missing_;
  std::vector<std::optional<Missing>> holding_;  // by rank: the synchronous collective that its next task waits for
};

}  // namespace echelon
