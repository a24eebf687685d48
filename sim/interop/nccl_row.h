// One line of nccl-tests or rccl-tests output -> its numbers.
//
// The columns of every version after `size count type` are: reduction (absent before 2.x of some programs and in all
// that reduce nothing), root (absent before 2.13 but for broadcast and reduce), then time (us), algorithm bandwidth,
// bus bandwidth (10^9 B/s) and the check, out of place and, mostly, in place (nccl-tests src/util.cu,
// doc/PERFORMANCE.md). What stands before a row is passed over: '#', "0: " of srun -l, "[1,0]<stdout>:" of mpirun
// --tag-output.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sim/base/units.h"

namespace echelon {

struct NcclRow {
  Bytes bytes;            // the full vector: for all-gather, reduce-scatter and all-to-all the parts of all ranks
  double count = 0;       // elements as printed: of one rank's part where the collective has parts
  std::string type;       // "float"
  std::string reduction;  // "sum", "none"; empty where the line has no such column
  int root = -1;          // -1 = none
  Seconds out_of_place;
  Seconds in_place;  // 0 = not measured
  ByteRate algorithm_bandwidth;
  ByteRate bus_bandwidth;  // 0 where it rounds to 0.00
  std::int64_t wrong = 0;  // elements with wrong values, of both places together
  bool in_place_checked = true;
  bool out_of_place_checked = true;
  int line = 0;  // counted from 1
};

// Bytes of an element of that type as nccl-tests names it; 0 = not known.
double nccl_element_bytes(std::string_view type);

// The row that a line holds, or nothing: another line, a row cut short, or one whose numbers contradict each other
// (size / time is not the printed bandwidth). Never throws.
std::optional<NcclRow> parse_nccl_row(std::string_view line);

// Whether a line is that of a row, complete or not.
bool looks_like_nccl_row(std::string_view line);

}  // namespace echelon
