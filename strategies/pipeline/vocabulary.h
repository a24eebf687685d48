// Schedules whose embedding and output layer are divided over all pipeline ranks (arXiv:2411.05288).
//
// Every rank runs two passes of its share of the output layer for each micro-batch: S makes logits and their local
// softmax, T what is left once sums over all ranks are known. Between them lie collectives over the ranks:
//   vocab_1     F(last) - broadcast - S - sums - T - input gradients - B(last)
//   vocab_2     F(last) - broadcast - S - sums and input gradients - B(last), and T (weight gradients) any time after
//   interlaced  as vocab_1, but all ranks run S and T at once and none goes on before a collective ends
// The embedding's share runs before F(first) and after B(first), with an all-reduce and a broadcast. S and T of a
// micro-batch lie a period apart, so that collectives run beside layers: each barrier between F(last) and B(last) costs
// the activations of one more micro-batch (section 5).
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "strategies/pipeline/schedule.h"

namespace echelon {

// What passes of other ranks wait for, once for each micro-batch.
enum class VocabularyEvent {
  hidden,    // the last stage's forward pass is done
  sums,      // every rank's S
  gradient,  // every rank's T
  embedded,  // every rank's forward pass of the embedding
  returned   // the first stage's backward pass
};
inline constexpr std::size_t vocabulary_events = 5;

// Whether a stage is at an end of the model.
struct StageEnds {
  bool first = false;
  bool last = false;
};

// What the pass waits for beside its neighbours' passes; `ends` of its stage.
std::optional<VocabularyEvent> awaited_event(VocabularyParallel method, const Action& action, StageEnds ends);
// What the pass takes part in.
std::optional<VocabularyEvent> event_of(const Action& action, StageEnds ends);

// When events happen: each when the last pass that makes it ends.
class VocabularyTimes {
 public:
  static constexpr double never = std::numeric_limits<double>::infinity();

  explicit VocabularyTimes(const ScheduleShape& shape);

  double at(VocabularyEvent event, std::int32_t micro_batch) const;
  // Whether this pass was the last that the event needed.
  bool finish(VocabularyEvent event, std::int32_t micro_batch, double end);

 private:
  struct State {
    std::int64_t missing = 0;
    double end = 0;
  };
  std::size_t slot(VocabularyEvent event, std::int32_t micro_batch) const {
    return static_cast<std::size_t>(event) * micro_batches_ + static_cast<std::size_t>(micro_batch);
  }

  std::size_t micro_batches_ = 0;
  std::vector<State> states_;
};

// Collectives between F(last) and B(last), beside the broadcast.
std::int64_t vocabulary_barriers(VocabularyParallel method);

// Why the method cannot be put into the schedule, with what would do; nothing where it can.
ShapeRefusal vocabulary_refusal(VocabularyParallel method, ScheduleKind kind, std::int64_t ranks);

// build_schedule() with the vocabulary's passes put in, planned by `costs`; for what vocabulary_refusal() lets pass.
Schedule build_vocabulary_schedule(VocabularyParallel method, ScheduleKind kind, ScheduleShape shape,
                                   const ScheduleCosts& costs);
// The synchronous kind (interlaced.cpp), on 1F1B.
Schedule interlaced_schedule(const ScheduleShape& shape, const ScheduleCosts& costs);

}  // namespace echelon
