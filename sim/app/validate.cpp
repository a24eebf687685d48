#include "sim/app/validate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "sim/app/statistics.h"
#include "sim/app/truth_words.h"

namespace echelon {

namespace {

struct FilterTerm {
  std::string column;  // "" = id, source or model
  std::string value;
  bool equal = false;

  bool holds(const TruthRow& row) const {
    if (column.empty()) return mentions(row.id + "\n" + row.source + "\n" + row.model, value);
    const std::string text = lower_case(*truth_text(row, column));
    return equal ? text == value : text.find(value) != std::string::npos;
  }
};

FilterTerm parse_term(const std::string& text) {
  const std::size_t at = text.find_first_of("=~");
  if (at == std::string::npos) return {"", lower_case(text), false};
  FilterTerm term{text.substr(0, at), lower_case(text.substr(at + 1)), text[at] == '='};
  if (!truth_text(TruthRow{}, term.column))
    throw InputError({"--filter " + text, 0, 0}, "no column '" + term.column + "'",
                     "a column of the truth table, such as source, model, gpu, pp or confidence");
  return term;
}

bool is_tuned(const Profile& profile, const std::string& id) {
  return std::find(profile.tuned_rows.begin(), profile.tuned_rows.end(), id) != profile.tuned_rows.end();
}

std::optional<double> relative_error(double predicted, double measured) {
  if (measured <= 0) return std::nullopt;
  return (predicted - measured) / measured;
}

void compare(Prediction prediction, bool first_stage, ValidatedRow& result) {
  if (first_stage && !prediction.stage_peaks.empty()) prediction.peak_memory = prediction.stage_peaks.front();
  result.status = prediction.fits ? RowStatus::ok : RowStatus::infeasible;
  if (!prediction.fits) result.reason = "does not fit the device's memory";
  if (result.measured_time)
    result.time_error = relative_error(prediction.iteration_time.value(), result.measured_time->value());
  if (result.measured_peak)
    result.memory_error = relative_error(prediction.peak_memory.value(), result.measured_peak->value());
  result.predicted = std::move(prediction);
}

ValidatedRow validate_row(const TruthRow& row, const TruthLibrary& library, const Simulation& simulate) {
  ValidatedRow result;
  result.row = row;
  if (const auto time = measured_iteration_time(row)) result.measured_time = Seconds(*time);
  if (row.peak_mem_gib) result.measured_peak = gibibytes(*row.peak_mem_gib);
  auto translated = scenario_from_truth(row, library);
  if (const auto* refusal = std::get_if<Infeasible>(&translated)) {
    result.reason = refusal->reason;
    return result;
  }
  auto& truth = std::get<TruthScenario>(translated);
  result.assumptions = std::move(truth.assumptions);
  result.tuned = is_tuned(*truth.profile, row.id);
  Outcome outcome = simulate(truth.scenario);
  if (const auto* refusal = std::get_if<Infeasible>(&outcome)) {
    result.status = RowStatus::infeasible;
    result.reason = refusal->reason;
    return result;
  }
  compare(std::get<Prediction>(std::move(outcome)), truth.first_stage_peak, result);
  return result;
}

ErrorStatistics statistics_of(const std::vector<double>& errors) {
  std::vector<double> absolute(errors.size());
  std::transform(errors.begin(), errors.end(), absolute.begin(), [](double error) { return std::abs(error); });
  return {errors.size(), mean(absolute), median(absolute), mean(errors), percentile(absolute, 0.9)};
}

// Rows that differ in nothing but how the model is laid out: the model, what a sequence is, the cluster.
std::string group_of(const TruthRow& row) {
  return fmt::format("{}|{}|{}|{}|{}|{}|{}", row.model, row.layers.value_or(0), row.vocab.value_or(0),
                     row.seq_len.value_or(0), row.gpu, row.gpus.value_or(0), row.interconnect);
}

// How a row lays its model out.
std::string strategy_of(const TruthRow& row) {
  std::string text;
  for (const auto& number :
       {row.dp, row.tp, row.pp, row.vpp, row.cp, row.ep, row.etp, row.micro_batch, row.global_batch})
    text += fmt::format("{}|", number.value_or(0));
  for (const std::string* word : {&row.zero_or_fsdp, &row.seq_parallel, &row.schedule, &row.recompute, &row.precision})
    text += fmt::format("{}|", *word);
  return text;
}

// A row of a group, in seconds for a sequence.
struct Ranked {
  double predicted = 0;
  double measured = 0;
  bool fits = true;  // as predicted
  std::string strategy;
};

// Tau-b of time per sequence over rows, or nothing.
std::optional<double> tau_of(const std::vector<Ranked>& rows) {
  std::vector<std::pair<double, double>> pairs;
  for (const Ranked& row : rows) pairs.emplace_back(row.predicted, row.measured);
  return kendall_tau_b(pairs);
}

// One row for each strategy, of the medians of its times.
std::vector<Ranked> by_strategy(const std::vector<Ranked>& rows) {
  std::map<std::string, std::array<std::vector<double>, 2>> times;
  for (const Ranked& row : rows) {
    times[row.strategy][0].push_back(row.predicted);
    times[row.strategy][1].push_back(row.measured);
  }
  std::vector<Ranked> strategies;
  for (const auto& [strategy, both] : times) strategies.push_back({*median(both[0]), *median(both[1]), true, strategy});
  return strategies;
}

// Whether the row that is predicted fastest of those that fit, the first of equals, was at most 3 % slower than the
// fastest. Where none is predicted to fit, nothing is picked.
bool picks_near(const std::vector<Ranked>& rows) {
  constexpr double near = 1.03;
  const Ranked* picked = nullptr;
  double fastest = std::numeric_limits<double>::infinity();
  for (const Ranked& row : rows) {
    fastest = std::min(fastest, row.measured);
    if (row.fits && (picked == nullptr || row.predicted < picked->predicted)) picked = &row;
  }
  return picked != nullptr && picked->measured <= near * fastest;
}

void add_ranking(const std::vector<const ValidatedRow*>& rows, ValidationSummary& summary) {
  constexpr std::size_t smallest_group = 3;
  std::map<std::string, std::vector<Ranked>> groups;
  for (const ValidatedRow* row : rows) {
    const auto batch = static_cast<double>(row->row.global_batch.value_or(1));
    groups[group_of(row->row)].push_back({row->predicted->iteration_time.value() / batch,
                                          row->measured_time->value() / batch, row->predicted->fits,
                                          strategy_of(row->row)});
  }
  std::vector<double> taus;
  std::vector<double> strategy_taus;
  for (const auto& [name, members] : groups) {
    if (members.size() < smallest_group) continue;
    ++summary.pick_groups;
    if (picks_near(members)) ++summary.near_picks;
    if (const auto tau = tau_of(members)) taus.push_back(*tau);
    const auto strategies = by_strategy(members);
    if (const auto tau = tau_of(strategies)) strategy_taus.push_back(*tau);
  }
  summary.kendall_groups = taus.size();
  summary.kendall_tau = median(taus);
  summary.strategy_groups = strategy_taus.size();
  summary.strategy_tau = median(strategy_taus);
}

void count_fits(const ValidatedRow& row, FitsConfusion& fits) {
  if (!row.predicted) return;
  const bool failed = !row.measured_time && mentions(row.row.notes, "status=");
  if (row.measured_time)
    ++(row.predicted->fits ? fits.ran_fits : fits.ran_does_not_fit);
  else if (failed)
    ++(row.predicted->fits ? fits.failed_fits : fits.failed_does_not_fit);
}

ValidationSummary summarise(std::string scope, std::string name, const std::vector<const ValidatedRow*>& rows) {
  ValidationSummary summary;
  summary.scope = std::move(scope);
  summary.name = std::move(name);
  summary.rows = rows.size();
  std::vector<double> time_errors;
  std::vector<double> memory_errors;
  std::vector<const ValidatedRow*> timed;
  for (const ValidatedRow* row : rows) {
    summary.ok += row->status == RowStatus::ok;
    summary.infeasible += row->status == RowStatus::infeasible;
    summary.skipped += row->status == RowStatus::skipped;
    summary.tuned += row->tuned;
    if (row->tuned) continue;
    count_fits(*row, summary.fits);
    if (row->memory_error) memory_errors.push_back(*row->memory_error);
    if (!row->time_error) continue;
    time_errors.push_back(*row->time_error);
    timed.push_back(row);
  }
  summary.time = statistics_of(time_errors);
  summary.memory = statistics_of(memory_errors);
  add_ranking(timed, summary);
  return summary;
}

// One summary for each distinct key, in the order of first appearance.
template <class Key>
void add_summaries(const std::string& scope, Key key, ValidationReport& report) {
  std::vector<std::string> names;
  std::map<std::string, std::vector<const ValidatedRow*>> groups;
  for (const ValidatedRow& row : report.rows) {
    auto& group = groups[key(row.row)];
    if (group.empty()) names.push_back(key(row.row));
    group.push_back(&row);
  }
  for (const std::string& name : names) report.summaries.push_back(summarise(scope, name, groups[name]));
}

}  // namespace

RowFilter parse_row_filter(const std::string& text) {
  std::vector<FilterTerm> terms;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) terms.push_back(parse_term(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return [terms](const TruthRow& row) {
    return std::all_of(terms.begin(), terms.end(), [&](const FilterTerm& term) { return term.holds(row); });
  };
}

ValidationReport validate(const std::vector<TruthRow>& rows, const TruthLibrary& library, const Simulation& simulate,
                          const ValidationProgress& progress) {
  ValidationReport report;
  report.rows.reserve(rows.size());
  for (const TruthRow& row : rows) {
    report.rows.push_back(validate_row(row, library, simulate));
    if (progress) progress(report.rows.size(), rows.size());
  }
  add_summaries(
      "file", [](const TruthRow& row) { return std::filesystem::path(row.file).filename().string(); }, report);
  const bool several = std::any_of(report.rows.begin(), report.rows.end(),
                                   [&](const ValidatedRow& row) { return row.row.file != report.rows[0].row.file; });
  if (several)
    add_summaries(
        "all", [](const TruthRow&) { return std::string("all files"); }, report);
  add_summaries(
      "source", [](const TruthRow& row) { return row.source; }, report);
  return report;
}

ValidationReport validate(const std::vector<std::filesystem::path>& files, const RowFilter& filter,
                          const TruthLibrary& library, const Simulation& simulate, const ValidationProgress& progress) {
  std::vector<TruthRow> rows;
  for (const auto& file : files)
    for (TruthRow& row : read_truth(file))
      if (!filter || filter(row)) rows.push_back(std::move(row));
  return validate(rows, library, simulate, progress);
}

}  // namespace echelon
