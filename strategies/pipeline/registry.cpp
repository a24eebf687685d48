#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "strategies/pipeline/schedule.h"

namespace echelon {

namespace {

constexpr auto registry = std::to_array<ScheduleRow>({
    {ScheduleKind::gpipe, gpipe_order, false, false},
    {ScheduleKind::one_f_one_b, one_f_one_b_order, false, false},
    {ScheduleKind::interleaved, interleaved_order, true, true},
    {ScheduleKind::zb_h1, zero_bubble_h1_order, false, false},
    {ScheduleKind::zb_h2, zero_bubble_h2_order, false, false},
});

}  // namespace

const ScheduleRow& schedule_row(ScheduleKind kind) {
  for (const ScheduleRow& row : registry)
    if (row.kind == kind) return row;
  fail_check("kind in registry", __FILE__, __LINE__, "a schedule without a row");
}

std::optional<std::string> chunk_refusal(ScheduleKind kind, std::int64_t chunks) {
  if (chunks == 1 || schedule_row(kind).many_chunks) return std::nullopt;
  return fmt::format("schedule {} has one chunk a rank, not {}; schedule interleaved or virtual_stages 1 would do",
                     name_of(kind), chunks);
}

std::int64_t fitting_micro_batches(ScheduleKind kind, const ScheduleShape& shape) {
  if (!schedule_row(kind).micro_batches_fill_groups || shape.chunks == 1) return shape.micro_batches;
  return std::max(shape.ranks, shape.micro_batches / shape.ranks * shape.ranks);
}

}  // namespace echelon
