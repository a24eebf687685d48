// What a sweep keeps of a point: a row of the columns of sim/report/result_columns.h.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "sim/base/enum_names.h"
#include "sim/base/error.h"
#include "sim/metrics/result.h"
#include "sim/sweep/space.h"

namespace echelon {

enum class PointStatus { ok, does_not_fit, infeasible };

template <>
inline constexpr auto enum_names<PointStatus> = std::to_array<EnumName<PointStatus>>({
    {PointStatus::ok, "ok"},
    {PointStatus::does_not_fit, "does_not_fit"},
    {PointStatus::infeasible, "infeasible"},
});

struct Row {
  std::int64_t point = 0;
  std::vector<std::size_t> digits;  // positions on the axes
  PointStatus status = PointStatus::ok;
  std::string reason;          // one line; empty where ok
  std::vector<double> values;  // by value_columns(); NaN: not known; empty where infeasible
};

Row row_of(std::int64_t point, std::vector<std::size_t> digits, const std::variant<Result, Infeasible>& outcome);

// Names of the values: result columns, then "time_breakdown_s.PART".
const std::vector<std::string>& value_columns();

// All columns: point, the axes, status, reason, values.
std::vector<std::string> row_columns(const Space& space);

// One line without its end, the same for the same row everywhere: numbers in the fewest digits that give them back.
std::string csv_header(const Space& space);
std::string csv_line(const Space& space, const Row& row);
std::string json_line(const Space& space, const Row& row);

}  // namespace echelon
