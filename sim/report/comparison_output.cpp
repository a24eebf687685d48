#include "sim/report/comparison_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "sim/metrics/limit_check.h"
#include "sim/report/forecast_output.h"
#include "sim/report/number_text.h"
#include "sim/report/result_json.h"

namespace echelon {

namespace {

constexpr std::size_t label_width = 24;

constexpr double seconds_per_day = 86400;

ComparisonLine column_line(std::string label, std::string_view name, const std::function<std::string(double)>& shown) {
  const ResultColumn* column = result_column(name);
  const auto figure = [column, shown](const Candidate& candidate) {
    const double value = column->value(*candidate.result());
    return std::isnan(value) ? "-" : shown(value);
  };
  return {std::move(label), figure, rank_by(*column)};
}

bool all_alike(const std::vector<Candidate>& candidates, const std::function<double(const Candidate&)>& value) {
  std::optional<double> first;
  return std::all_of(candidates.begin(), candidates.end(), [&](const Candidate& candidate) {
    return candidate.result() == nullptr || value(candidate) == *(first = first.value_or(value(candidate)));
  });
}

std::vector<ComparisonLine> figure_lines(const std::vector<Candidate>& candidates) {
  const auto seconds = [](double value) { return duration(Seconds(value)); };
  const auto percent = [](double value) { return fmt::format("{:.1f} %", 100 * value); };
  const auto money = [](double value) { return fmt::format("{:.4g} USD", value); };
  ComparisonLine iteration = column_line("iteration", "iteration_time_s", seconds);
  // A step of fewer tokens is no better for being shorter.
  if (!all_alike(candidates, [](const Candidate& c) { return c.result()->tokens; })) iteration.rank = {};
  return {
      {"GPUs", [](const Candidate& c) { return grouped(static_cast<double>(c.result()->gpus)); }},
      {"GPU-hour",
       [](const Candidate& c) {
         const auto rent = usd_per_gpu_hour(*c.result());
         return rent ? fmt::format("{:.4g} USD", *rent) : "-";
       }},
      iteration,
      column_line("tokens/s", "tokens_per_s", grouped),
      column_line("tokens/s/GPU", "tokens_per_s_per_gpu", grouped),
      column_line("MFU", "mfu", percent),
      column_line("peak memory", "peak_memory_bytes",
                  [](double value) { return fmt::format("{:.1f} GiB", Bytes(value) / gibibytes(1)); }),
      {"fits", [](const Candidate& c) { return c.result()->memory.fits ? "yes" : "NO"; }},
      column_line("10^9 tokens, energy", "kwh_per_billion_tokens",
                  [](double value) { return fmt::format("{:.4g} kWh", value); }),
      column_line("10^9 tokens, cost", "usd_per_billion_tokens", money),
  };
}

// The parts of the breakdown that any candidate has.
std::vector<ComparisonLine> part_lines(const std::vector<Candidate>& candidates) {
  std::vector<ComparisonLine> all;
  for (const BreakdownColumn& column : breakdown_columns()) {
    const auto has_part = [part = column.part](const Candidate& candidate) {
      return candidate.result() != nullptr && candidate.result()->breakdown.*part > Seconds(0) &&
             !shows_as_zero(candidate.result()->breakdown.*part);
    };
    if (std::none_of(candidates.begin(), candidates.end(), has_part)) continue;
    all.push_back({"  " + std::string(column.name), [part = column.part](const Candidate& shown) {
                     const Seconds time = shown.result()->breakdown.*part;
                     if (shows_as_zero(time)) return std::string("0");
                     return fmt::format("{} {:>3.0f} %", duration(time), 100 * (time / shown.result()->iteration));
                   }});
  }
  return all;
}

// Of the whole run, where any candidate has one.
std::vector<ComparisonLine> run_lines(const std::vector<Candidate>& candidates) {
  const auto runs = [](const Candidate& candidate) { return candidate.run.has_value(); };
  if (std::none_of(candidates.begin(), candidates.end(), runs)) return {};
  const auto shown = [](const std::function<std::string(const Forecast&)>& text) {
    return [text](const Candidate& candidate) { return candidate.run ? text(*candidate.run) : std::string("-"); };
  };
  const auto in_the_end = [&shown](const std::function<std::string(const Forecast&)>& text) {
    return shown([text](const Forecast& run) { return run.ends() ? text(run) : std::string("never done"); });
  };
  // Runs of unlike lengths are not held against each other.
  const bool alike = all_alike(candidates, [](const Candidate& c) { return c.run ? c.run->tokens : 0; });
  const auto rank = [alike](const std::function<double(const Forecast&)>& value) {
    if (!alike) return CandidateRank();
    return CandidateRank([value](const Candidate& candidate) { return value(*candidate.run); });
  };
  std::vector<ComparisonLine> all = {
      {"run, tokens", shown([](const Forecast& run) { return fmt::format("{:.4g}", run.tokens); })},
      {"run, days",
       in_the_end([](const Forecast& run) { return fmt::format("{:.1f}", run.wall.value() / seconds_per_day); }),
       rank([](const Forecast& run) { return run.wall.value(); })},
      {"run, cost", in_the_end([](const Forecast& run) {
         const auto money = money_of(run);
         return money ? grouped(*money) + " USD" : std::string("-");
       }),
       rank([](const Forecast& run) { return money_of(run).value_or(std::numeric_limits<double>::quiet_NaN()); })},
      {"run, energy", in_the_end([](const Forecast& run) { return grouped(run.energy_kwh) + " kWh"; }),
       rank([](const Forecast& run) { return run.energy_kwh; })},
  };
  const auto breaks = [](const Candidate& candidate) { return !candidate.broken_limit.empty(); };
  if (std::any_of(candidates.begin(), candidates.end(), breaks))
    all.push_back({"within the limits", [](const Candidate& c) { return c.broken_limit.empty() ? "yes" : "NO"; }});
  return all;
}

std::string line_text(const ComparisonLine& line, const std::vector<Candidate>& candidates, std::size_t width) {
  std::optional<std::size_t> best;
  if (line.rank) best = best_candidate(candidates, line.rank);
  std::string text = to_the_left(line.label, label_width);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const std::string figure = candidates[i].result() != nullptr ? line.shown(candidates[i]) : "-";
    text += "  " + to_the_right(figure, width) + (best == i && candidates.size() > 1 ? "*" : " ");
  }
  return text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
}

std::size_t column_width(const std::vector<Candidate>& candidates) {
  constexpr std::size_t least = 16;
  constexpr std::size_t most = 30;
  std::size_t width = least;
  for (const Candidate& candidate : candidates) width = std::max(width, cells_of(candidate.name));
  return std::min(width, most);
}

std::string heading_text(const std::vector<Candidate>& candidates, std::size_t width, bool color) {
  std::string text = std::string(label_width, ' ');
  for (const Candidate& candidate : candidates) text += "  " + to_the_right(candidate.name, width) + " ";
  text.pop_back();
  return (color ? "\033[1m" + text + "\033[0m" : text) + "\n";
}

}  // namespace

std::vector<ComparisonLine> comparison_lines(const std::vector<Candidate>& candidates) {
  std::vector<ComparisonLine> lines = figure_lines(candidates);
  for (auto& more : {run_lines(candidates), part_lines(candidates)})
    lines.insert(lines.end(), more.begin(), more.end());
  return lines;
}

std::string best_text(const std::vector<Candidate>& candidates, const ResultColumn& metric) {
  const auto best = best_candidate(candidates, metric);
  if (best)
    return fmt::format("Best by {}: {} ({}).", metric.name, candidates[*best].name,
                       figure_text(metric, metric.value(*candidates[*best].result())));
  const auto runs = [](const Candidate& candidate) { return candidate.runnable() != nullptr; };
  if (std::any_of(candidates.begin(), candidates.end(), runs))
    return fmt::format("None of those that run has a known {}.", metric.name);
  const auto breaks = [](const Candidate& c) { return !c.broken_limit.empty() && c.result()->memory.fits; };
  return std::any_of(candidates.begin(), candidates.end(), breaks) ? "None of them runs within the limits."
                                                                   : "None of them can run.";
}

std::string comparison_to_text(const std::vector<Candidate>& candidates, const ResultColumn& metric, bool color) {
  const std::size_t width = column_width(candidates);
  std::string text = heading_text(candidates, width, color);
  for (const ComparisonLine& line : comparison_lines(candidates)) text += line_text(line, candidates, width);
  text += fmt::format("\n{}\n", best_text(candidates, metric));
  for (const std::string& sentence : explain_differences(candidates)) text += sentence + "\n";
  return text;
}

nlohmann::ordered_json comparison_to_json(const std::vector<Candidate>& candidates, const ResultColumn& metric) {
  using Json = nlohmann::ordered_json;
  const auto best = best_candidate(candidates, metric);
  Json json = {{"metric", metric.name}, {"best", best ? Json(candidates[*best].name) : Json(nullptr)}};
  json["candidates"] = Json::array();
  for (const Candidate& candidate : candidates) {
    Json entry = {{"name", candidate.name}, {"status", "infeasible"}, {"reason", nullptr}, {"result", nullptr}};
    if (const Result* result = candidate.result()) {
      entry["status"] = !result->memory.fits ? "does_not_fit" : candidate.broken_limit.empty() ? "ok" : "breaks_limit";
      if (!candidate.broken_limit.empty()) entry["reason"] = candidate.broken_limit;
      entry["result"] = result_to_json(*result);
      if (candidate.run) entry["training_run"] = forecast_to_json(*candidate.run);
    } else {
      entry["reason"] = std::get<Infeasible>(candidate.outcome).reason;
    }
    json["candidates"].push_back(entry);
  }
  json["differences"] = explain_differences(candidates);
  return json;
}

}  // namespace echelon
