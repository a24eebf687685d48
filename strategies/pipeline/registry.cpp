#include <fmt/format.h>

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

std::optional<std::string> schedule_refusal(ScheduleKind kind, const ScheduleShape& shape) {
  const ScheduleRow& row = schedule_row(kind);
  if (!row.many_chunks && shape.chunks > 1)
    return fmt::format("schedule {} has one chunk a rank, not virtual_stages {}; use interleaved or virtual_stages 1",
                       name_of(kind), shape.chunks);
  if (row.micro_batches_fill_groups && shape.chunks > 1 && shape.micro_batches % shape.ranks != 0) {
    const std::int64_t fewer = shape.micro_batches / shape.ranks * shape.ranks;
    return fmt::format("schedule {} needs micro-batches in multiples of pipeline_parallel {}, not {}; {} would do",
                       name_of(kind), shape.ranks, shape.micro_batches, fewer > 0 ? fewer : shape.ranks);
  }
  return std::nullopt;
}

}  // namespace echelon
