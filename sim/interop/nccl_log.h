// Output of nccl-tests and rccl-tests, of any version and however it was pasted -> runs of rows.
//
// A file may hold several runs, other programs' output between the lines, tags before them, and parts left out. What
// the log does not say is worked out from its numbers:
//   collective   the program's name (all_reduce_perf), else the columns: a reduction and a root, how many times `count`
//                goes into `size`, and bus over algorithm bandwidth: 2(n-1)/n all-reduce, (n-1)/n gather, scatter and
//                all-to-all, 1 the others (nccl-tests doc/PERFORMANCE.md); last, words of the file's name
//   ranks        the table of devices, else `size / count`, else that ratio
//   ranks a node host names of the table, else where its device numbers start again
// Comma-separated tables with nccl-tests' column names (vTrain's) are read too.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/collective_kind.h"
#include "sim/base/error.h"
#include "sim/interop/nccl_row.h"

namespace echelon {

struct NcclRun {
  SourceLocation where;  // its first row
  CollectiveKind kind = CollectiveKind::all_reduce;
  std::int64_t ranks = 0;           // 2 or more; 0 = the log does not say
  std::int64_t ranks_per_node = 0;  // 0 = the log does not say
  std::vector<std::string> hosts;   // distinct names of the table, in its order; empty = none named
  std::string device;               // "Tesla V100-SXM2-16GB"; empty = not named
  std::vector<NcclRow> rows;        // in the order of the log, sizes above 0
};

struct NcclLog {
  std::vector<NcclRun> runs;
  std::map<std::string, std::int64_t> skipped;  // reason -> rows left out
};

// `name` stands for the file in messages. Throws InputError where no row is of use.
NcclLog parse_nccl_log(std::string_view text, const std::string& name);
NcclLog read_nccl_log(const std::filesystem::path& path);

}  // namespace echelon
