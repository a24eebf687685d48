#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "strategies/pipeline/schedule.h"

namespace echelon {

namespace {

std::int64_t multiple_below(std::int64_t wanted, std::int64_t unit) {
  return std::max(unit, wanted / unit * unit);
}

std::int64_t any_number(const ScheduleShape& shape) {
  return shape.micro_batches;
}

// Whole groups, and perhaps one that is smaller but not than the ranks (Megatron-LM's schedules.py).
std::int64_t whole_groups(const ScheduleShape& shape) {
  const std::int64_t group = shape.group > 0 ? shape.group : shape.ranks;
  if (shape.chunks == 1 || (shape.micro_batches > group && shape.micro_batches % group >= shape.ranks))
    return shape.micro_batches;
  return multiple_below(shape.micro_batches, group);
}

// An even number, and enough to fill the pipeline from both ends.
std::int64_t two_directions(const ScheduleShape& shape) {
  return std::max(2 * shape.ranks, shape.micro_batches / 2 * 2);
}

std::int64_t twice_the_ranks(const ScheduleShape& shape) {
  return std::max(2 * shape.ranks, shape.micro_batches);
}

// As many for each pipeline, and beyond the ranks in whole units of them.
std::int64_t units(const ScheduleShape& shape) {
  return multiple_below(shape.micro_batches, shape.micro_batches <= shape.ranks ? shape.chunks : shape.ranks);
}

constexpr std::int64_t any = 0;

constexpr auto registry = std::to_array<ScheduleRow>({
    {ScheduleKind::gpipe, StageLayout::loop, gpipe, 1, 1, any_number, "arXiv:1811.06965"},
    {ScheduleKind::one_f_one_b, StageLayout::loop, one_f_one_b, 1, 1, any_number, "arXiv:2006.09503"},
    {ScheduleKind::pipedream, StageLayout::loop, pipe_dream, 1, 1, any_number, "arXiv:1806.03377"},
    {ScheduleKind::pipedream_2bw, StageLayout::loop, pipe_dream_2bw, 1, 1, any_number, "arXiv:2006.09503"},
    {ScheduleKind::interleaved, StageLayout::loop, interleaved, 1, any, whole_groups, "arXiv:2104.04473",
     ScheduleInput::groups},
    {ScheduleKind::looped_bfs, StageLayout::loop, looped_bfs, 1, any, any_number, "arXiv:2211.05953"},
    {ScheduleKind::zb_h1, StageLayout::loop, zero_bubble_h1, 1, 1, any_number, "arXiv:2401.10241"},
    {ScheduleKind::zb_h2, StageLayout::loop, zero_bubble_h2, 1, 1, any_number, "arXiv:2401.10241"},
    {ScheduleKind::zb_1p, StageLayout::loop, zero_bubble_1p, 1, 1, any_number, "arXiv:2401.10241",
     ScheduleInput::times},
    {ScheduleKind::zb_2p, StageLayout::loop, zero_bubble_2p, 1, 1, any_number, "arXiv:2401.10241",
     ScheduleInput::times},
    {ScheduleKind::interleaved_zb, StageLayout::loop, interleaved_zero_bubble, 1, any, whole_groups,
     "PyTorch, ScheduleInterleavedZeroBubble", ScheduleInput::groups},
    {ScheduleKind::zb_v, StageLayout::wave, zero_bubble_v, 2, 2, any_number, "arXiv:2401.10241"},
    {ScheduleKind::v_half, StageLayout::wave, v_half, 2, 2, any_number, "arXiv:2405.15362"},
    {ScheduleKind::v_min, StageLayout::wave, v_min, 2, 2, any_number, "arXiv:2405.15362"},
    {ScheduleKind::dualpipe, StageLayout::bidirectional, dual_pipe, 2, 2, two_directions, "arXiv:2412.19437"},
    {ScheduleKind::dualpipe_v, StageLayout::wave, dual_pipe_v, 2, 2, twice_the_ranks, "deepseek-ai/DualPipe"},
    {ScheduleKind::chimera, StageLayout::bidirectional, chimera, 2, any, units, "arXiv:2107.06925"},
    {ScheduleKind::hanayo, StageLayout::wave, hanayo, 2, any, any_number, "arXiv:2308.15762"},
    {ScheduleKind::seq1f1b, StageLayout::loop, seq_1f1b, 1, 1, any_number, "arXiv:2406.03488", ScheduleInput::slices},
    {ScheduleKind::terapipe, StageLayout::loop, tera_pipe, 1, 1, any_number, "arXiv:2102.07988", ScheduleInput::slices},
    {ScheduleKind::bpipe, StageLayout::loop, bpipe, 1, 1, any_number, "BPipe, ICML 2023"},
    {ScheduleKind::searched, StageLayout::loop, searched, 1, any, any_number, "list scheduling and local search",
     ScheduleInput::limit},
});

// Two directions, two halves of a wave: an odd number of chunks has none.
bool needs_even_chunks(const ScheduleRow& row) {
  return row.least_chunks == 2;
}

}  // namespace

const ScheduleRow& schedule_row(ScheduleKind kind) {
  for (const ScheduleRow& row : registry)
    if (row.kind == kind) return row;
  fail_check("kind in registry", __FILE__, __LINE__, "a schedule without a row");
}

ShapeRefusal chunk_refusal(ScheduleKind kind, std::int64_t chunks) {
  const ScheduleRow& row = schedule_row(kind);
  const bool many = row.most_chunks == any;
  if (chunks >= row.least_chunks && (many || chunks <= row.most_chunks) && !(needs_even_chunks(row) && chunks % 2 == 1))
    return std::nullopt;
  if (row.most_chunks == 1)
    return fmt::format("schedule {} has one chunk a rank, not {}; schedule interleaved or virtual_stages 1 would do",
                       name_of(kind), chunks);
  const std::int64_t would_do = many ? std::max(row.least_chunks, chunks / 2 * 2) : row.most_chunks;
  return fmt::format("schedule {} has {}{} chunks a rank, not {}; virtual_stages {} would do", name_of(kind),
                     many ? "an even number of" : "", many ? "" : std::to_string(row.most_chunks), chunks, would_do);
}

ShapeRefusal rank_refusal(ScheduleKind kind, const ScheduleShape& shape) {
  const ScheduleRow& row = schedule_row(kind);
  if (row.layout != StageLayout::bidirectional) return std::nullopt;
  if (shape.ranks % 2 == 1)
    return fmt::format(
        "schedule {} runs from both ends and needs an even pipeline, not {}; pipeline_parallel {} would do",
        name_of(kind), shape.ranks, shape.ranks + 1);
  const std::int64_t pairs = shape.chunks / 2;
  if (shape.ranks / 2 % pairs == 0) return std::nullopt;
  std::int64_t would_do = pairs;
  while (shape.ranks / 2 % would_do != 0) --would_do;
  return fmt::format(
      "schedule {} with {} pairs of pipelines needs them to divide half of the {} ranks; virtual_stages {} "
      "would do",
      name_of(kind), pairs, shape.ranks, 2 * would_do);
}

ShapeRefusal group_refusal(ScheduleKind kind, const ScheduleShape& shape) {
  if (shape.group == 0) return std::nullopt;
  if (schedule_row(kind).reads != ScheduleInput::groups)
    return fmt::format("schedule {} walks in no groups of {}; schedule_group 0 would do", name_of(kind), shape.group);
  if (shape.group >= shape.ranks) return std::nullopt;
  return fmt::format(
      "schedule {} walks in groups of {}, fewer than the {} ranks, which would wait for each other; "
      "schedule_group {} would do",
      name_of(kind), shape.group, shape.ranks, shape.ranks);
}

std::int64_t fitting_micro_batches(ScheduleKind kind, const ScheduleShape& shape) {
  return schedule_row(kind).fitting_micro_batches(shape);
}

Schedule build_schedule(ScheduleKind kind, const ScheduleShape& shape, const ScheduleCosts& costs) {
  return schedule_row(kind).build(shape, costs);
}

StageLayout layout_of(const Strategy& strategy) {
  return strategy.given_schedule ? strategy.given_schedule->layout : schedule_row(strategy.schedule).layout;
}

}  // namespace echelon
