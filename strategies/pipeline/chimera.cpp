#include <algorithm>

#include "strategies/pipeline/greedy.h"
#include "strategies/pipeline/order.h"

namespace echelon {

namespace {

// 1F1B of one pipeline as the rank that holds its k-th stage runs it.
RankOrder pipeline_order(std::int64_t ranks, std::int64_t k, std::int32_t chunk, std::int64_t micro_batches) {
  ScheduleShape alone;
  alone.ranks = ranks;
  alone.micro_batches = micro_batches;
  RankOrder order = one_f_one_b(alone, {}).ranks[static_cast<std::size_t>(k)];
  for (Action& action : order) action.chunk = chunk;
  return order;
}

// One unit: as many micro-batches as there are ranks, or fewer, divided over the pipelines.
Schedule unit(const ScheduleShape& shape) {
  std::vector<std::vector<RankOrder>> pipelines(static_cast<std::size_t>(shape.ranks));
  for (std::int64_t rank = 0; rank < shape.ranks; ++rank)
    for (std::int64_t chunk = 0; chunk < shape.chunks; ++chunk) {
      const std::int64_t k = stage_of(StageLayout::bidirectional, shape, rank, chunk) % shape.ranks;
      pipelines[static_cast<std::size_t>(rank)].push_back(pipeline_order(
          shape.ranks, k, static_cast<std::int32_t>(chunk), stage_micro_batches(StageLayout::bidirectional, shape)));
    }
  return merged_schedule(shape, StageLayout::bidirectional, {}, pipelines);
}

}  // namespace

// Pipelines in both directions over the same ranks, each with its copy of the model (arXiv:2107.06925). More
// micro-batches than ranks run unit after unit (the paper's direct concatenation, section 3.5): forward passes of the
// next fill the bubbles at the end of one, as far as a rank keeps no more of them than there are ranks.
Schedule chimera(const ScheduleShape& shape, const ScheduleCosts& costs) {
  ScheduleShape part = shape;
  part.micro_batches = std::min(shape.micro_batches, shape.ranks);
  const Schedule one = unit(part);
  const auto step = static_cast<std::int32_t>(stage_micro_batches(StageLayout::bidirectional, part));
  const auto units = static_cast<std::int32_t>(shape.micro_batches / part.micro_batches);
  Schedule in_turn = by_rank(shape, StageLayout::bidirectional, [&](std::int64_t rank) {
    RankOrder order;
    for (std::int32_t u = 0; u < units; ++u)
      for (Action action : one.ranks[static_cast<std::size_t>(rank)]) {
        action.micro_batch += u * step;
        order.push_back(action);
      }
    return order;
  });
  if (units == 1) return in_turn;
  return with_idle_filled(in_turn, costs, static_cast<double>(shape.ranks));
}

}  // namespace echelon
