// Which collective a run of nccl-tests did and over how many ranks, worked out from its rows.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "sim/base/collective_kind.h"
#include "sim/interop/nccl_row.h"

namespace echelon {

struct NcclKindFacts {
  std::vector<CollectiveKind> named;  // what the log calls it, most trusted first; may be empty or wrong
  std::int64_t table_ranks = 0;       // of the table of devices; 0 = none
  bool has_reduction_column = true;   // false: the columns say nothing of reduction and root
};

struct NcclKind {
  CollectiveKind kind = CollectiveKind::all_reduce;
  std::int64_t ranks = 0;  // 0 = cannot be told
};

// Nothing where no collective fits the rows. The table's number of ranks gives way to the rows' where they disagree.
std::optional<NcclKind> nccl_kind_of(const std::vector<NcclRow>& rows, const NcclKindFacts& facts);

// The collective of a program ("all_reduce" of all_reduce_perf) or of words in a file's name.
std::optional<CollectiveKind> nccl_program_kind(std::string_view program);
std::optional<CollectiveKind> nccl_kind_in_name(std::string_view file_name);

}  // namespace echelon
