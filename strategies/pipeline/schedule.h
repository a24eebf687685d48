// Pipeline schedules as tables: for each pipeline rank, the order of its forward and backward passes.
//
// A schedule knows no layers, and no times but the plain numbers that a caller gives to those that plan by them. Adding
// one: a file with its order, a declaration here, a member of ScheduleKind, a row in registry.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/graph/work.h"
#include "strategies/stage_cost.h"
#include "strategies/strategy.h"

namespace echelon {

// What a pass runs: a chunk of layers, or a rank's share of the output layer or of the embedding where all pipeline
// ranks share them (vocabulary.h). Passes of the latter two belong to chunk 0.
enum class ActionPart : std::uint8_t { layers, output, embedding };

// One pass of one micro-batch (or of one slice of its sequence) through one chunk of a rank.
struct Action {
  Pass pass = Pass::forward;  // backward = input and weight gradient in one
  std::int32_t chunk = 0;
  std::int32_t micro_batch = 0;
  std::int32_t slice = 0;
  bool paired = false;  // runs together with the action after it (DualPipe's overlapped forward and backward)
  ActionPart part = ActionPart::layers;

  friend bool operator==(const Action&, const Action&) = default;
};

struct ScheduleShape {
  std::int64_t ranks = 1;
  std::int64_t micro_batches = 1;  // of all directions together
  std::int64_t chunks = 1;         // of a rank
  std::int64_t slices = 1;         // of each micro-batch's sequence
  std::int64_t group = 0;          // interleaved: micro-batches that walk through the chunks together; 0 = the ranks
  std::int64_t delay = 0;  // 1f1b, v_half, v_min: micro-batches that the last stage is ahead of its own backward
};

// Whether a shape has so many passes that its steady state decides, and trying all that there is would take long: 64
// ranks and 1,000 micro-batches are to be answered within a second.
constexpr bool is_large(const ScheduleShape& shape) {
  return shape.ranks * shape.chunks * shape.micro_batches > 50'000;
}

// Which stage lies where.
enum class StageLayout {
  loop,          // chunk c of rank r is stage c * ranks + r
  wave,          // the same for even chunks; odd ones run backwards: c * ranks + (ranks - 1 - r). Two chunks: a V
  bidirectional  // every chunk is a copy of the whole pipeline, stages c * ranks + k: pipeline c of the first half runs
                 // down the ranks, of the second up; pairs are shifted by ranks / (chunks / 2) against each other
};

std::int64_t stage_of(StageLayout layout, const ScheduleShape& shape, std::int64_t rank, std::int64_t chunk);
// The rank and chunk that hold the stage.
struct StagePlace {
  std::int64_t rank = 0;
  std::int64_t chunk = 0;
};
StagePlace place_of(StageLayout layout, const ScheduleShape& shape, std::int64_t stage);
// Whether the model's first (last) layers lie there; a bidirectional schedule has several such stages.
bool is_first_stage(StageLayout layout, const ScheduleShape& shape, std::int64_t stage);
bool is_last_stage(StageLayout layout, const ScheduleShape& shape, std::int64_t stage);
// Micro-batches that pass through one stage: a bidirectional schedule divides them over its pipelines.
std::int64_t stage_micro_batches(StageLayout layout, const ScheduleShape& shape);

using RankOrder = std::vector<Action>;

// Weights that a rank keeps for the micro-batches in flight. With more than one version nobody waits for the pipeline
// to empty: the schedule's order is one period of a pipeline that runs on, each rank as fast as its own work allows.
enum class WeightVersions {
  one,
  two,       // the update of one batch waits for the next (PipeDream-2BW)
  in_flight  // one for each micro-batch that the rank may hold, and an update after each (PipeDream)
};

// Activations of a micro-batch that a rank lends to its partner, rank p - 1 - r (bpipe.cpp): from behind its forward
// pass until behind the backward pass of an earlier one.
struct Eviction {
  std::int32_t micro_batch = 0;
  std::int32_t returns_after = 0;  // micro-batch

  friend bool operator==(const Eviction&, const Eviction&) = default;
};

struct Schedule {
  ScheduleShape shape;
  StageLayout layout = StageLayout::loop;
  std::vector<RankOrder> ranks;
  WeightVersions versions = WeightVersions::one;
  VocabularyParallel vocabulary = VocabularyParallel::none;
  std::vector<std::vector<Eviction>> evictions{};  // by rank, in the order in which they leave; empty where none leave
};

// What a planning schedule plans by, and what timing.h runs it with.
struct ScheduleCosts {
  std::vector<StageCost> stages{StageCost{}};  // by stage of one copy of the model, or one for all
  double communication = 0;                    // of one message between ranks
  double memory_limit = 0;                     // activations of a rank in micro-batches of its chunks; 0 = none
  double weight_share = 1;                     // of a chunk's activations that only its weight gradient frees
  bool keeps_layout = false;                   // searched: loops alone, where it matters which stage lies on which rank
  StageCost output{0, 0, 0};                   // of one rank's share of a divided output layer

  const StageCost& of(std::int64_t stage) const { return stages[static_cast<std::size_t>(stage) % stages.size()]; }
};

// Chunk activations that a pass takes, or gives back: negative. `weight_share` as in ScheduleCosts.
constexpr double activations_taken(Pass pass, double weight_share) {
  switch (pass) {
    case Pass::forward:
      return 1;
    case Pass::backward:
      return -1;
    case Pass::input_gradient:
      return weight_share - 1;
    case Pass::weight_gradient:
      return -weight_share;
  }
  return 0;
}

// Schedules by their authors' definitions: the source stands in each file.
Schedule gpipe(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule one_f_one_b(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule pipe_dream(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule pipe_dream_2bw(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule interleaved(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule looped_bfs(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule zero_bubble_h1(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule zero_bubble_h2(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule zero_bubble_1p(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule zero_bubble_2p(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule interleaved_zero_bubble(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule zero_bubble_v(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule v_half(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule v_min(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule dual_pipe(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule dual_pipe_v(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule chimera(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule hanayo(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule seq_1f1b(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule tera_pipe(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule bpipe(const ScheduleShape& shape, const ScheduleCosts& costs);
Schedule searched(const ScheduleShape& shape, const ScheduleCosts& costs);

// Why a shape cannot be, with what would do; nothing where it can.
using ShapeRefusal = std::optional<std::string>;

// What a schedule makes its order of, beside ranks, micro-batches and chunks.
enum class ScheduleInput {
  shape,   // nothing
  slices,  // of each sequence
  groups,  // of micro-batches that walk through the chunks together
  times,   // of the stages' passes and of messages
  limit    // these, and how many activations a rank may keep
};

// What a schedule needs of its shape, and how to make it.
struct ScheduleRow {
  ScheduleKind kind;
  StageLayout layout;
  Schedule (*build)(const ScheduleShape&, const ScheduleCosts&);
  std::int64_t least_chunks;
  std::int64_t most_chunks;  // 0 = any number
  // The nearest shape with the same ranks and chunks that the schedule can have: other micro-batches, or itself.
  std::int64_t (*fitting_micro_batches)(const ScheduleShape&);
  std::string_view source;
  ScheduleInput reads = ScheduleInput::shape;
};
const ScheduleRow& schedule_row(ScheduleKind kind);

// Of the strategy's schedule, named or given.
StageLayout layout_of(const Strategy& strategy);

// Why the schedule cannot have this many chunks a rank, with what would do; nothing where it can.
ShapeRefusal chunk_refusal(ScheduleKind kind, std::int64_t chunks);
// Why it cannot have these ranks (DualPipe's must be even), with what would do.
ShapeRefusal rank_refusal(ScheduleKind kind, const ScheduleShape& shape);
// Why it cannot have these groups of micro-batches, with what would do.
ShapeRefusal group_refusal(ScheduleKind kind, const ScheduleShape& shape);

// The number of micro-batches that the schedule can have on these ranks and chunks: the shape's where they fit, else
// the next fewer, or the fewest.
std::int64_t fitting_micro_batches(ScheduleKind kind, const ScheduleShape& shape);

// The schedule of a shape that none of the four above refuses.
Schedule build_schedule(ScheduleKind kind, const ScheduleShape& shape, const ScheduleCosts& costs = {});

}  // namespace echelon
