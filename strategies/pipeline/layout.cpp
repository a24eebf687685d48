#include "strategies/pipeline/schedule.h"

namespace echelon {

namespace {

// Ranks by which pipeline `chunk` of a bidirectional schedule is shifted against the first of its direction.
std::int64_t shift_of(const ScheduleShape& shape, std::int64_t chunk) {
  const std::int64_t pairs = shape.chunks / 2;
  return chunk % pairs * (shape.ranks / pairs);
}

bool runs_down(const ScheduleShape& shape, std::int64_t chunk) {
  return chunk < shape.chunks / 2;
}

// Place of the rank in pipeline `chunk`.
std::int64_t stage_in_pipeline(const ScheduleShape& shape, std::int64_t rank, std::int64_t chunk) {
  const std::int64_t down = (rank - shift_of(shape, chunk) + shape.ranks) % shape.ranks;
  return runs_down(shape, chunk) ? down : shape.ranks - 1 - down;
}

bool runs_backwards(StageLayout layout, std::int64_t chunk) {
  return layout == StageLayout::wave && chunk % 2 == 1;
}

}  // namespace

std::int64_t stage_of(StageLayout layout, const ScheduleShape& shape, std::int64_t rank, std::int64_t chunk) {
  if (layout == StageLayout::bidirectional) return chunk * shape.ranks + stage_in_pipeline(shape, rank, chunk);
  return chunk * shape.ranks + (runs_backwards(layout, chunk) ? shape.ranks - 1 - rank : rank);
}

StagePlace place_of(StageLayout layout, const ScheduleShape& shape, std::int64_t stage) {
  const std::int64_t chunk = stage / shape.ranks;
  const std::int64_t inside = stage % shape.ranks;
  if (layout == StageLayout::bidirectional) {
    const std::int64_t down = runs_down(shape, chunk) ? inside : shape.ranks - 1 - inside;
    return {(down + shift_of(shape, chunk)) % shape.ranks, chunk};
  }
  return {runs_backwards(layout, chunk) ? shape.ranks - 1 - inside : inside, chunk};
}

bool is_first_stage(StageLayout layout, const ScheduleShape& shape, std::int64_t stage) {
  return layout == StageLayout::bidirectional ? stage % shape.ranks == 0 : stage == 0;
}

bool is_last_stage(StageLayout layout, const ScheduleShape& shape, std::int64_t stage) {
  if (layout == StageLayout::bidirectional) return stage % shape.ranks == shape.ranks - 1;
  return stage == shape.ranks * shape.chunks - 1;
}

std::int64_t stage_micro_batches(StageLayout layout, const ScheduleShape& shape) {
  return layout == StageLayout::bidirectional ? shape.micro_batches / shape.chunks : shape.micro_batches;
}

}  // namespace echelon
