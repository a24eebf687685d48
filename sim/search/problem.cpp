#include "sim/search/problem.h"

#include <algorithm>
#include <utility>

#include "sim/app/simulate.h"
#include "sim/config/run_limits_config.h"

namespace echelon {

namespace {

// Heights of points that cannot run, far above any score.
constexpr double no_place = 1e200;
constexpr double no_memory = 1e100;  // times the share by which it does not fit
constexpr double no_leave = 1e50;    // times the share by which it breaks a limit
constexpr double most_share = 1e40;

double product(const Scores& scores) {
  double result = 1;
  for (const double score : scores) result *= score;
  return result;
}

Bytes fullest(const MemoryResult& memory) {
  Bytes worst = memory.peak;
  for (const StageMemory& stage : memory.per_stage) worst = std::max(worst, stage.device);
  return worst;
}

}  // namespace

void SearchCounts::tally(const BrokenLimit& broken) {
  LimitTally& tally = limited[static_cast<std::size_t>(broken.limit)];
  if (tally.points == 0 || broken.taken < tally.least) tally.least = broken.taken;
  ++tally.points;
}

void SearchCounts::add(const SearchCounts& other) {
  evaluations += other.evaluations;
  bounds += other.bounds;
  refused += other.refused;
  for (std::size_t i = 0; i < limited.size(); ++i) {
    const LimitTally& from = other.limited[i];
    if (from.points > 0 && (limited[i].points == 0 || from.least < limited[i].least)) limited[i].least = from.least;
    limited[i].points += from.points;
  }
}

SearchProblem::SearchProblem(const SpaceDocument& document, Objective objective, std::int64_t budget,
                             KnownPredictions predictions)
    : document_(document),
      evaluator_(document),
      limits_(run_limits_in(with_overrides(parse_text(document.text, document.file.string()), document.overrides))),
      predictions_(std::move(predictions)),
      objective_(objective),
      budget_(budget) {
  if (!predictions_) evaluator_.check_values();
}

std::int64_t SearchProblem::most_looks() const {
  constexpr std::int64_t looks_per_evaluation = 100;
  constexpr std::int64_t most = 10'000'000;
  return budget_ < most / looks_per_evaluation ? budget_ * looks_per_evaluation : most;
}

std::optional<Scores> SearchProblem::evaluate(std::int64_t point) {
  return look_at(point).scores;
}

double SearchProblem::height(std::int64_t point) {
  return look_at(point).height;
}

const Scenario& SearchProblem::scenario_of(const Found& found) {
  const auto scenario = evaluator_.scenario(found.row.digits);
  SIM_CHECK(std::holds_alternative<const Scenario*>(scenario), "point {} was found", found.row.point);
  return *std::get<const Scenario*>(scenario);
}

const SearchProblem::Known& SearchProblem::look_at(std::int64_t point) {
  static const Known nothing{std::nullopt, no_place, std::nullopt};
  if (const auto known = known_.find(point); known != known_.end()) return known->second;
  if (exhausted()) return nothing;
  Known& known = known_[point];
  known.height = no_place;
  const auto digits = space().digits(point);
  if (!space().includes(digits)) {
    ++counts_.refused;
    return known;
  }
  if (predictions_) {
    known = weighed(point, digits, nullptr, predictions_(point));
    return known;
  }
  const auto there = evaluator_.scenario(digits);
  const auto* scenario = std::get_if<const Scenario*>(&there);
  if (scenario == nullptr)
    ++counts_.refused;
  else
    known = predicted(point, digits, **scenario);
  return known;
}

SearchProblem::Known SearchProblem::predicted(std::int64_t point, const std::vector<std::size_t>& digits,
                                              const Scenario& scenario) {
  if (const auto broken = broken_limit(limits_, scenario.gpus)) {
    ++counts_.refused;
    counts_.tally(*broken);
    return {std::nullopt, no_place, std::nullopt};
  }
  return weighed(point, digits, &scenario, simulate(scenario));
}

SearchProblem::Known SearchProblem::weighed(std::int64_t point, const std::vector<std::size_t>& digits,
                                            const Scenario* scenario, const std::variant<Result, Infeasible>& outcome) {
  const Result* result = std::get_if<Result>(&outcome);
  if (result == nullptr) {
    ++counts_.refused;
    return {std::nullopt, no_place, std::nullopt};
  }
  ++counts_.evaluations;
  const Valuation value = scenario == nullptr ? Valuation{scores_of(objective_, *result), {}, {}}
                                              : valuation(objective_, limits_, *scenario, *result);
  const Bytes bytes = fullest(result->memory);
  const PointCost cost{product(value.scores), bytes.value()};
  if (!result->memory.fits) return {std::nullopt, no_memory * (bytes / result->memory.capacity), cost};
  if (value.broken) {
    counts_.tally(*value.broken);
    return {std::nullopt, no_leave * std::min(value.broken->share, most_share), cost};
  }
  keep({row_of(point, digits, outcome), value.scores, value.run});
  return {value.scores, cost.score, cost};
}

void SearchProblem::keep(Found found) {
  const auto loses_to = [&](const Found& other) {
    return dominates(other.scores, found.scores) || (other.scores == found.scores && other.row.point < found.row.point);
  };
  if (std::any_of(found_.begin(), found_.end(), loses_to)) return;
  std::erase_if(found_, [&](const Found& other) { return covers(found.scores, other.scores); });
  const auto place =
      std::find_if(found_.begin(), found_.end(), [&](const Found& other) { return other.row.point > found.row.point; });
  found_.insert(place, std::move(found));
}

}  // namespace echelon
