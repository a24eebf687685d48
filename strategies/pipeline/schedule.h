// Pipeline schedules as tables: for each pipeline rank, the order of its forward and backward passes.
//
// A schedule knows no times but those that a caller gives it and no layers. Chunks (virtual stages) are placed in a
// loop: chunk c of rank r is stage c * ranks + r. Adding a schedule: one file with its order, one row in registry.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/graph/work.h"
#include "strategies/strategy.h"

namespace echelon {

// One pass of one micro-batch through one chunk of a rank.
struct Action {
  Pass pass = Pass::forward;  // backward = input and weight gradient in one
  std::int32_t chunk = 0;
  std::int32_t micro_batch = 0;
};

struct ScheduleShape {
  std::int64_t ranks = 1;
  std::int64_t micro_batches = 1;
  std::int64_t chunks = 1;
};

using RankOrder = std::vector<Action>;

// Schedules by their authors' definitions.
RankOrder gpipe_order(const ScheduleShape& shape, std::int64_t rank);           // arXiv:1811.06965
RankOrder one_f_one_b_order(const ScheduleShape& shape, std::int64_t rank);     // arXiv:2006.09503 (PipeDream-Flush)
RankOrder interleaved_order(const ScheduleShape& shape, std::int64_t rank);     // arXiv:2104.04473, section 2.2
RankOrder zero_bubble_h1_order(const ScheduleShape& shape, std::int64_t rank);  // arXiv:2401.10241, section 2
RankOrder zero_bubble_h2_order(const ScheduleShape& shape, std::int64_t rank);

// What a schedule needs of its shape, and how to make it.
struct ScheduleRow {
  ScheduleKind kind;
  RankOrder (*order)(const ScheduleShape&, std::int64_t rank);
  bool many_chunks;                // takes more than one chunk a rank
  bool micro_batches_fill_groups;  // micro-batches must be a multiple of the ranks
};
const ScheduleRow& schedule_row(ScheduleKind kind);

// Why the schedule cannot have this many chunks a rank, with what would do; nothing where it can.
std::optional<std::string> chunk_refusal(ScheduleKind kind, std::int64_t chunks);

// The number of micro-batches that the schedule can have on these ranks and chunks: the shape's where they fit, else
// the next fewer, or the fewest.
std::int64_t fitting_micro_batches(ScheduleKind kind, const ScheduleShape& shape);

}  // namespace echelon
