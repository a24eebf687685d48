#include "sim/sweep/row.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "sim/report/result_columns.h"

namespace echelon {

namespace {

std::string in_one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return text;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string json_text(const std::string& text) {
  return nlohmann::json(text).dump();
}

// Lists and mappings stay the text that `--set` takes.
std::string json_value(const AxisValue& value) {
  if (const auto* number = std::get_if<double>(&value.value)) return fmt::format("{}", *number);
  if (const auto* truth = std::get_if<bool>(&value.value)) return *truth ? "true" : "false";
  return value.text == "null" ? value.text : json_text(value.text);
}

}  // namespace

Row row_of(std::int64_t point, std::vector<std::size_t> digits, const std::variant<Result, Infeasible>& outcome) {
  Row row{point, std::move(digits), PointStatus::ok, "", {}};
  if (const auto* refusal = std::get_if<Infeasible>(&outcome)) {
    row.status = PointStatus::infeasible;
    row.reason = in_one_line(refusal->reason);
    return row;
  }
  const Result& result = std::get<Result>(outcome);
  row.values.reserve(value_columns().size());
  for (const ResultColumn& column : result_columns()) row.values.push_back(column.value(result));
  for (const BreakdownColumn& column : breakdown_columns())
    row.values.push_back((result.breakdown.*column.part).value());
  if (result.memory.fits) return row;
  Bytes worst;
  for (const StageMemory& stage : result.memory.per_stage) worst = std::max(worst, stage.device);
  row.status = PointStatus::does_not_fit;
  row.reason = fmt::format("{:.1f} GiB needed on the fullest rank and {:.1f} GiB there are", worst / gibibytes(1),
                           result.memory.capacity / gibibytes(1));
  return row;
}

const std::vector<std::string>& value_columns() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const ResultColumn& column : result_columns()) all.emplace_back(column.name);
    for (const BreakdownColumn& column : breakdown_columns())
      all.push_back(fmt::format("time_breakdown_s.{}", column.name));
    return all;
  }();
  return names;
}

std::vector<std::string> row_columns(const Space& space) {
  std::vector<std::string> columns = {"point"};
  for (const SpaceAxis& axis : space.axes()) columns.push_back(axis.key);
  columns.insert(columns.end(), {"status", "reason"});
  columns.insert(columns.end(), value_columns().begin(), value_columns().end());
  return columns;
}

std::string csv_header(const Space& space) {
  std::string line;
  for (const std::string& column : row_columns(space)) line += (line.empty() ? "" : ",") + csv_field(column);
  return line;
}

std::string csv_line(const Space& space, const Row& row) {
  std::string line = fmt::format("{}", row.point);
  for (std::size_t i = 0; i < row.digits.size(); ++i)
    line += "," + csv_field(space.axes()[i].values[row.digits[i]].text);
  line += fmt::format(",{},{}", name_of(row.status), csv_field(row.reason));
  for (std::size_t i = 0; i < value_columns().size(); ++i) {
    line += ',';
    if (i < row.values.size() && !std::isnan(row.values[i]))
      fmt::format_to(std::back_inserter(line), "{}", row.values[i]);
  }
  return line;
}

std::string json_line(const Space& space, const Row& row) {
  std::string line = fmt::format(R"({{"point":{})", row.point);
  for (std::size_t i = 0; i < row.digits.size(); ++i) {
    const SpaceAxis& axis = space.axes()[i];
    line += fmt::format(",{}:{}", json_text(axis.key), json_value(axis.values[row.digits[i]]));
  }
  line += fmt::format(R"(,"status":"{}","reason":{})", name_of(row.status), json_text(row.reason));
  for (std::size_t i = 0; i < row.values.size(); ++i) {
    const std::string shown = std::isfinite(row.values[i]) ? fmt::format("{}", row.values[i]) : "null";
    fmt::format_to(std::back_inserter(line), R"(,"{}":{})", value_columns()[i], shown);
  }
  return line + "}";
}

}  // namespace echelon
