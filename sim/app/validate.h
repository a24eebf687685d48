// Measured runs against predictions, row by row and in summary: the body of `echelon validate`.
//
// The simulation is a parameter, so that this room's arithmetic is tested with a made-up one. A row ends as
//   ok          predicted, and it fits the device
//   infeasible  predicted not to fit (the predictions stand), or refused by the strategy's checks (none stand)
//   skipped     not translated into a scenario: the reason names the column
// Errors are (predicted - measured) / measured. Rows whose id a profile names as tuned on are predicted and shown but
// counted as `tuned`, outside every statistic.
#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sim/app/truth_scenario.h"
#include "sim/base/error.h"
#include "sim/base/units.h"
#include "sim/interop/truth_table.h"
#include "sim/metrics/breakdown.h"

namespace echelon {

struct Prediction {
  Seconds iteration_time;
  Seconds low;  // likely range of the iteration time
  Seconds high;
  Bytes peak_memory;               // of the worst rank, counted as Strategy::peak says
  std::vector<Bytes> stage_peaks;  // by pipeline stage; may be empty
  bool fits = true;
  Breakdown breakdown;  // of the critical rank
};

using Outcome = std::variant<Prediction, Infeasible>;
using Simulation = std::function<Outcome(const Scenario&)>;

enum class RowStatus { ok, infeasible, skipped };

template <>
inline constexpr auto enum_names<RowStatus> = std::to_array<EnumName<RowStatus>>({
    {RowStatus::ok, "ok"},
    {RowStatus::infeasible, "infeasible"},
    {RowStatus::skipped, "skipped"},
});

struct ValidatedRow {
  TruthRow row;
  RowStatus status = RowStatus::skipped;
  std::string reason;  // why infeasible or skipped
  bool tuned = false;
  std::optional<Seconds> measured_time;
  std::optional<Bytes> measured_peak;
  std::optional<Prediction> predicted;  // peak_memory is the first stage's where the source measured that one
  std::optional<double> time_error;     // fractions
  std::optional<double> memory_error;
  std::vector<std::string> assumptions;
};

// Statistics of errors as fractions; nothing where n = 0.
struct ErrorStatistics {
  std::size_t n = 0;
  std::optional<double> mape;    // mean of absolute errors
  std::optional<double> median;  // of absolute errors
  std::optional<double> bias;    // mean of signed errors
  std::optional<double> p90;     // 90th percentile of absolute errors
};

// Rows that ran (a time was measured) or failed (the notes say so), by what was predicted.
struct FitsConfusion {
  std::size_t ran_fits = 0;
  std::size_t ran_does_not_fit = 0;
  std::size_t failed_fits = 0;
  std::size_t failed_does_not_fit = 0;
};

struct ValidationSummary {
  std::string scope;  // "file", "all" (of several files) or "source"
  std::string name;
  std::size_t rows = 0;
  std::size_t ok = 0;
  std::size_t infeasible = 0;
  std::size_t skipped = 0;
  std::size_t tuned = 0;
  ErrorStatistics time;
  ErrorStatistics memory;
  std::optional<double> kendall_tau;  // median over groups, tau-b of time per sequence, predicted with measured
  std::size_t kendall_groups = 0;     // groups of at least 3 rows with one model, sequence length and cluster
  // The same of strategies: rows of a group that differ in nothing that lays the model out (runs repeated, or with
  // other releases of the software) count as one, by the medians of their times. Equal predictions of such rows are
  // ties, with which no order is right.
  std::optional<double> strategy_tau;
  std::size_t strategy_groups = 0;  // of at least 3 rows and 2 strategies, whose times differ
  // Of the groups of that size, those whose row with the least predicted time per sequence took at most 3 % longer than
  // the fastest: where who follows the prediction is right.
  std::size_t pick_groups = 0;
  std::size_t near_picks = 0;
  FitsConfusion fits;
};

struct ValidationReport {
  std::vector<ValidatedRow> rows;
  std::vector<ValidationSummary> summaries;  // files in the order given, all of them, then sources as they appear
};

// Which rows are taken: terms "column=value" (equal) or "column~words" (within, case ignored), separated by commas, all
// of which must hold; a term with neither is looked for in id, source and model. Throws InputError on an unknown
// column.
using RowFilter = std::function<bool(const TruthRow&)>;
RowFilter parse_row_filter(const std::string& text);

// Called after each row with how many are done.
using ValidationProgress = std::function<void(std::size_t done, std::size_t total)>;

// Reads and predicts every row of the files that the filter takes. Throws InputError on a bad file.
ValidationReport validate(const std::vector<std::filesystem::path>& files, const RowFilter& filter,
                          const TruthLibrary& library, const Simulation& simulate,
                          const ValidationProgress& progress = {});
// The same for rows in memory.
ValidationReport validate(const std::vector<TruthRow>& rows, const TruthLibrary& library, const Simulation& simulate,
                          const ValidationProgress& progress = {});

// {"rows": [...], "summary": [...]} as DESIGN's contract has it.
nlohmann::ordered_json to_json(const ValidationReport& report);
// Rows as aligned text; `assumptions` adds what was assumed under each row.
enum class RowDetail { rows, assumptions };
std::string rows_text(const ValidationReport& report, RowDetail detail);
// The summary as aligned text and as a Markdown table.
std::string summary_text(const ValidationReport& report);
std::string summary_markdown(const ValidationReport& report);

}  // namespace echelon
