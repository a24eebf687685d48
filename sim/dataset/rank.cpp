#include "sim/dataset/rank.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace echelon {

namespace {

constexpr double never = std::numeric_limits<double>::infinity();

// The best score of one search after each of its evaluations.
struct Trace {
  std::vector<std::int64_t> points;  // that were evaluated
  std::vector<double> best;          // after as many evaluations as the position says, from 0 on
  std::int64_t bounds = 0;

  double after(std::int64_t evaluations) const {
    return best[std::min(static_cast<std::size_t>(evaluations), best.size() - 1)];
  }
};

double best_of(const SearchProblem& problem) {
  if (problem.found().empty()) return never;
  return problem.found().front().scores.front();
}

Trace trace_of(const SpaceDocument& document, const RecordedPoints& points, const SearchMethod& method,
               const RankOptions& options, int seed) {
  Trace trace;
  const SearchProblem* looked_at = nullptr;
  const auto note = [&] {
    const auto evaluations = static_cast<std::size_t>(looked_at->counts().evaluations);
    trace.best.resize(std::max(trace.best.size(), evaluations + 1), best_of(*looked_at));
  };
  SearchProblem problem(document, options.objective, options.evaluations, [&](std::int64_t point) {
    note();
    trace.points.push_back(point);
    return points.at(point);
  });
  looked_at = &problem;
  method.run(problem, {static_cast<std::uint64_t>(seed), options.threads});
  note();
  trace.bounds = problem.counts().bounds;
  if (options.searched) options.searched();
  return trace;
}

// One trace for each seed, or one alone where the second seed changes nothing.
std::vector<Trace> traces_of(const SpaceDocument& document, const RecordedPoints& points, const SearchMethod& method,
                             const RankOptions& options) {
  std::vector<Trace> traces;
  for (int seed = 1; seed <= options.seeds; ++seed) {
    traces.push_back(trace_of(document, points, method, options, seed));
    if (seed != 2 || traces[0].points != traces[1].points) continue;
    traces.pop_back();
    break;
  }
  return traces;
}

// The least value that at least that share of them does not exceed.
double quantile(const std::vector<double>& sorted, double share) {
  const auto place = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(place, 1) - 1];
}

template <class Value>
std::vector<double> sorted_values(const std::vector<Trace>& traces, Value value) {
  std::vector<double> values;
  for (const Trace& trace : traces) values.push_back(value(trace));
  std::sort(values.begin(), values.end());
  return values;
}

MethodRank rank_of(const SearchMethod& method, const std::vector<Trace>& traces, const Ranking& ranking) {
  MethodRank rank{std::string(method.name), static_cast<int>(traces.size()), {}, 0, traces.front().bounds};
  for (const std::int64_t evaluations : ranking.checkpoints) {
    const auto regrets =
        sorted_values(traces, [&](const Trace& trace) { return trace.after(evaluations) / ranking.optimum - 1; });
    rank.regret.push_back({quantile(regrets, 0.25), quantile(regrets, 0.5), quantile(regrets, 0.75)});
  }
  const double limit = ranking.optimum * (1 + Ranking::near);
  const auto until_near = sorted_values(traces, [&](const Trace& trace) {
    const auto found = std::find_if(trace.best.begin(), trace.best.end(), [&](double best) { return best <= limit; });
    return found == trace.best.end() ? never : static_cast<double>(found - trace.best.begin());
  });
  rank.to_near = quantile(until_near, 0.5);
  return rank;
}

std::vector<std::int64_t> checkpoints_of(std::int64_t budget) {
  std::vector<std::int64_t> points;
  for (std::int64_t decade = 1; decade < budget; decade *= 10)
    for (const std::int64_t step : {1, 2, 5})
      if (decade * step < budget) points.push_back(decade * step);
  points.push_back(budget);
  return points;
}

void find_optimum(const SpaceDocument& document, const RecordedPoints& points, Ranking& ranking) {
  SearchProblem problem(document, ranking.objective, std::numeric_limits<std::int64_t>::max(),
                        [&](std::int64_t point) { return points.at(point); });
  search_exhaustive(problem, {});
  if (problem.found().empty())
    throw InputError({document.file.string(), 0, 0}, "no point of the data set can run",
                     "expected a space with one that does");
  ranking.optimum_point = problem.found().front().row.point;
  ranking.optimum = best_of(problem);
  if (ranking.optimum <= 0)
    throw InputError({document.file.string(), 0, 0}, fmt::format("{} is not known", name_of(ranking.objective)),
                     "expected an objective that the data have: time, energy, memory");
}

nlohmann::ordered_json number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

std::string percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.1f}", 100 * share) : "-";
}

std::string regret_text(const Quartiles& regret, int searches) {
  std::string median = percent(regret.median) + (std::isfinite(regret.median) ? " %" : "");
  if (searches == 1) return median;
  return fmt::format("{} ({} to {})", median, percent(regret.low), percent(regret.high));
}

using Cells = std::vector<std::string>;

std::vector<Cells> table_of(const Ranking& ranking) {
  constexpr std::int64_t first_shown = 10;
  std::vector<Cells> rows{{"method", "searches", "evaluations to 1 %"}};
  for (const std::int64_t evaluations : ranking.checkpoints)
    if (evaluations >= first_shown) rows[0].push_back(fmt::format("after {}", evaluations));
  for (const MethodRank& rank : ranking.methods) {
    Cells cells{rank.method, fmt::format("{}", rank.searches),
                std::isfinite(rank.to_near) ? fmt::format("{:.0f}", rank.to_near) : "-"};
    for (std::size_t i = 0; i < ranking.checkpoints.size(); ++i)
      if (ranking.checkpoints[i] >= first_shown) cells.push_back(regret_text(rank.regret[i], rank.searches));
    rows.push_back(std::move(cells));
  }
  return rows;
}

}  // namespace

Ranking rank_methods(const SpaceDocument& document, const RecordedPoints& points,
                     const std::vector<const SearchMethod*>& methods, const RankOptions& options) {
  Ranking ranking;
  ranking.objective = options.objective;
  ranking.checkpoints = checkpoints_of(options.evaluations);
  find_optimum(document, points, ranking);
  for (const SearchMethod* method : methods)
    ranking.methods.push_back(rank_of(*method, traces_of(document, points, *method, options), ranking));
  std::stable_sort(ranking.methods.begin(), ranking.methods.end(), [](const MethodRank& a, const MethodRank& b) {
    if (a.to_near != b.to_near) return a.to_near < b.to_near;
    return a.regret.back().median < b.regret.back().median;
  });
  return ranking;
}

nlohmann::ordered_json ranking_json(const Ranking& ranking) {
  using Json = nlohmann::ordered_json;
  Json json = {{"objective", name_of(ranking.objective)},
               {"optimum", {{"point", ranking.optimum_point}, {"score", ranking.optimum}}},
               {"evaluations", ranking.checkpoints},
               {"methods", Json::array()}};
  for (const MethodRank& rank : ranking.methods) {
    Json entry = {{"method", rank.method},
                  {"searches", rank.searches},
                  {"bounds", rank.bounds},
                  {"evaluations_to_1_percent", number(rank.to_near)},
                  {"regret", Json::array()}};
    for (const Quartiles& regret : rank.regret)
      entry["regret"].push_back(
          {{"low", number(regret.low)}, {"median", number(regret.median)}, {"high", number(regret.high)}});
    json["methods"].push_back(std::move(entry));
  }
  return json;
}

std::string ranking_table(const Ranking& ranking, TableStyle style) {
  const std::vector<Cells> rows = table_of(ranking);
  std::vector<std::size_t> widths(rows[0].size(), 0);
  for (const Cells& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (std::size_t i = 0; i < rows[r].size(); ++i) {
      const bool right = i > 0;
      if (style == TableStyle::markdown)
        line += fmt::format("| {} ", rows[r][i]);
      else
        line += right ? fmt::format("  {:>{}}", rows[r][i], widths[i]) : fmt::format("{:<{}}", rows[r][i], widths[i]);
    }
    text += line + (style == TableStyle::markdown ? "|\n" : "\n");
    if (r > 0 || style != TableStyle::markdown) continue;
    for (std::size_t i = 0; i < widths.size(); ++i) text += i == 0 ? "| --- " : "| ---: ";
    text += "|\n";
  }
  return text;
}

}  // namespace echelon
