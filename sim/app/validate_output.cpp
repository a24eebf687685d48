// The validation report as JSON, aligned text and Markdown.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sim/app/validate.h"
#include "sim/report/result_columns.h"

namespace echelon {

namespace {

using Json = nlohmann::ordered_json;

Json number_or_null(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json measured_json(const ValidatedRow& row) {
  return {{"iteration_time_s", row.measured_time ? Json(row.measured_time->value()) : Json(nullptr)},
          {"peak_memory_bytes", row.measured_peak ? Json(row.measured_peak->value()) : Json(nullptr)}};
}

Json predicted_json(const ValidatedRow& row) {
  if (!row.predicted) return nullptr;
  const Prediction& p = *row.predicted;
  Json breakdown;
  for (const BreakdownColumn& column : breakdown_columns())
    breakdown[std::string(column.name)] = (p.breakdown.*column.part).value();
  return {{"iteration_time_s", p.iteration_time.value()},
          {"iteration_time_low_s", p.low.value()},
          {"iteration_time_high_s", p.high.value()},
          {"peak_memory_bytes", p.peak_memory.value()},
          {"fits", p.fits},
          {"time_breakdown_s", breakdown}};
}

Json row_json(const ValidatedRow& row) {
  return {{"id", row.row.id},
          {"source", row.row.source},
          {"file", row.row.file},
          {"status", name_of(row.status)},
          {"reason", row.reason},
          {"tuned", row.tuned},
          {"measured", measured_json(row)},
          {"predicted", predicted_json(row)},
          {"error", {{"iteration_time", number_or_null(row.time_error)}, {"memory", number_or_null(row.memory_error)}}},
          {"assumptions", row.assumptions}};
}

Json errors_json(const ErrorStatistics& errors) {
  return {{"n", errors.n},
          {"mape", number_or_null(errors.mape)},
          {"median", number_or_null(errors.median)},
          {"bias", number_or_null(errors.bias)},
          {"p90", number_or_null(errors.p90)}};
}

Json summary_json(const ValidationSummary& s) {
  Json time = errors_json(s.time);
  time["kendall_tau"] = number_or_null(s.kendall_tau);
  time["kendall_groups"] = s.kendall_groups;
  time["strategy_tau"] = number_or_null(s.strategy_tau);
  time["strategy_groups"] = s.strategy_groups;
  time["pick_groups"] = s.pick_groups;
  time["near_picks"] = s.near_picks;
  return {{"scope", s.scope},
          {"name", s.name},
          {"rows", s.rows},
          {"ok", s.ok},
          {"infeasible", s.infeasible},
          {"skipped", s.skipped},
          {"tuned", s.tuned},
          {"iteration_time", time},
          {"memory", errors_json(s.memory)},
          {"fits",
           {{"ran_fits", s.fits.ran_fits},
            {"ran_does_not_fit", s.fits.ran_does_not_fit},
            {"failed_fits", s.fits.failed_fits},
            {"failed_does_not_fit", s.fits.failed_does_not_fit}}}};
}

std::string percent(const std::optional<double>& fraction) {
  return fraction ? fmt::format("{:+.1f} %", *fraction * 100) : "-";
}

std::string share(const std::optional<double>& fraction) {
  return fraction ? fmt::format("{:.1f} %", *fraction * 100) : "-";
}

std::string count_text(std::size_t count) {
  return fmt::format("{}", count);
}

std::string fits_text(const FitsConfusion& fits) {
  const std::size_t ran = fits.ran_fits + fits.ran_does_not_fit;
  const std::size_t failed = fits.failed_fits + fits.failed_does_not_fit;
  if (ran + failed == 0) return "-";
  std::string text = fmt::format("{}/{} ran", fits.ran_fits, ran);
  if (failed > 0) text += fmt::format(", {}/{} failed", fits.failed_does_not_fit, failed);
  return text;
}

std::string tau_text(const std::optional<double>& tau) {
  return tau ? fmt::format("{:.2f}", *tau) : "-";
}

// One table for text and Markdown alike.
struct SummaryColumn {
  std::string_view title;
  std::string (*cell)(const ValidationSummary&);
};

constexpr auto summary_columns = std::to_array<SummaryColumn>({
    {"rows", [](const ValidationSummary& s) { return s.name; }},
    {"total", [](const ValidationSummary& s) { return count_text(s.rows); }},
    {"skipped", [](const ValidationSummary& s) { return count_text(s.skipped); }},
    {"infeasible", [](const ValidationSummary& s) { return count_text(s.infeasible); }},
    {"tuned", [](const ValidationSummary& s) { return count_text(s.tuned); }},
    {"timed", [](const ValidationSummary& s) { return count_text(s.time.n); }},
    {"MAPE", [](const ValidationSummary& s) { return share(s.time.mape); }},
    {"median", [](const ValidationSummary& s) { return share(s.time.median); }},
    {"bias", [](const ValidationSummary& s) { return percent(s.time.bias); }},
    {"P90", [](const ValidationSummary& s) { return share(s.time.p90); }},
    {"tau of rows", [](const ValidationSummary& s) { return tau_text(s.kendall_tau); }},
    {"of strategies", [](const ValidationSummary& s) { return tau_text(s.strategy_tau); }},
    {"pick within 3 %",
     [](const ValidationSummary& s) {
       return s.pick_groups > 0 ? fmt::format("{}/{}", s.near_picks, s.pick_groups) : "-";
     }},
    {"memory n", [](const ValidationSummary& s) { return count_text(s.memory.n); }},
    {"memory median", [](const ValidationSummary& s) { return share(s.memory.median); }},
    {"memory bias", [](const ValidationSummary& s) { return percent(s.memory.bias); }},
    {"predicted right", [](const ValidationSummary& s) { return fits_text(s.fits); }},
});

using Grid = std::vector<std::vector<std::string>>;

// Columns padded to their widest cell, two blanks between; the first column to the left, the rest to the right.
std::string aligned(const Grid& grid) {
  std::vector<std::size_t> widths;
  for (const auto& line : grid) {
    widths.resize(std::max(widths.size(), line.size()));
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (const auto& line : grid) {
    for (std::size_t i = 0; i < line.size(); ++i)
      text += i == 0 ? fmt::format("{:<{}}", line[i], widths[i]) : fmt::format("  {:>{}}", line[i], widths[i]);
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  }
  return text;
}

Grid summary_grid(const ValidationReport& report) {
  Grid grid(1);
  for (const auto& column : summary_columns) grid.front().emplace_back(column.title);
  for (const ValidationSummary& summary : report.summaries) {
    auto& line = grid.emplace_back();
    for (const auto& column : summary_columns) line.push_back(column.cell(summary));
  }
  return grid;
}

std::vector<std::string> row_cells(const ValidatedRow& row) {
  constexpr double gib = 1024.0 * 1024.0 * 1024.0;
  const auto seconds = [](const Seconds* time) { return time ? fmt::format("{:.4g}", time->value()) : "-"; };
  const auto bytes = [](const Bytes* amount) { return amount ? fmt::format("{:.1f}", amount->value() / gib) : "-"; };
  const Prediction* predicted = row.predicted ? &*row.predicted : nullptr;
  return {row.row.id,
          std::string(name_of(row.status)) + (row.tuned ? " (tuned)" : ""),
          seconds(row.measured_time ? &*row.measured_time : nullptr),
          seconds(predicted ? &predicted->iteration_time : nullptr),
          percent(row.time_error),
          bytes(row.measured_peak ? &*row.measured_peak : nullptr),
          bytes(predicted ? &predicted->peak_memory : nullptr),
          percent(row.memory_error)};
}

}  // namespace

nlohmann::ordered_json to_json(const ValidationReport& report) {
  Json json = {{"rows", Json::array()}, {"summary", Json::array()}};
  for (const ValidatedRow& row : report.rows) json["rows"].push_back(row_json(row));
  for (const ValidationSummary& summary : report.summaries) json["summary"].push_back(summary_json(summary));
  return json;
}

std::string rows_text(const ValidationReport& report, RowDetail detail) {
  Grid grid{{"row", "status", "measured s", "predicted s", "error", "measured GiB", "predicted GiB", "error"}};
  for (const ValidatedRow& row : report.rows) grid.push_back(row_cells(row));
  const std::string table = aligned(grid);
  std::string text;
  std::size_t begin = 0;
  for (std::size_t line = 0; line < grid.size(); ++line) {
    const std::size_t end = table.find('\n', begin) + 1;
    text += table.substr(begin, end - begin);
    begin = end;
    if (line == 0) continue;
    const ValidatedRow& row = report.rows[line - 1];
    if (!row.reason.empty()) text += fmt::format("    {}\n", row.reason);
    if (detail == RowDetail::assumptions)
      for (const std::string& assumption : row.assumptions) text += fmt::format("    assumed: {}\n", assumption);
  }
  return text;
}

std::string summary_text(const ValidationReport& report) {
  return aligned(summary_grid(report));
}

std::string summary_markdown(const ValidationReport& report) {
  std::string text;
  bool titled = false;
  for (const auto& line : summary_grid(report)) {
    text += "|";
    for (const std::string& cell : line) text += fmt::format(" {} |", cell);
    text += '\n';
    if (titled) continue;
    text += "| --- |";
    for (std::size_t i = 1; i < line.size(); ++i) text += " ---: |";
    text += '\n';
    titled = true;
  }
  return text;
}

}  // namespace echelon
