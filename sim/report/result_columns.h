// The scalar columns of a result: one table that JSON, terminal and tables draw on.
#pragma once

#include <span>
#include <string_view>

#include "sim/metrics/result.h"

namespace echelon {

struct ResultColumn {
  std::string_view name;  // as in JSON
  std::string_view unit;  // "s", "1", ...
  std::string_view meaning;
  double (*value)(const Result&);
};
std::span<const ResultColumn> result_columns();

// The parts of time_breakdown_s in order, each with a phrase for people.
struct BreakdownColumn {
  std::string_view name;
  std::string_view meaning;
  Seconds Breakdown::*part;
};
std::span<const BreakdownColumn> breakdown_columns();

}  // namespace echelon
