#include "sim/search/problem.h"

#include <algorithm>
#include <utility>

namespace echelon {

namespace {

constexpr double no_place = 1e200;   // the height of a point that cannot be
constexpr double no_memory = 1e100;  // times the share by which it does not fit

double product(const Scores& scores) {
  double result = 1;
  for (const double score : scores) result *= score;
  return result;
}

double missing_share(const MemoryResult& memory) {
  Bytes worst;
  for (const StageMemory& stage : memory.per_stage) worst = std::max(worst, stage.device);
  return worst / memory.capacity;
}

}  // namespace

SearchProblem::SearchProblem(const SpaceDocument& document, Objective objective, std::int64_t budget,
                             KnownPredictions predictions)
    : document_(document),
      evaluator_(document),
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

const SearchProblem::Known& SearchProblem::look_at(std::int64_t point) {
  static const Known nothing{std::nullopt, no_place};
  if (const auto known = known_.find(point); known != known_.end()) return known->second;
  if (exhausted()) return nothing;
  Known& known = known_[point];
  known.height = no_place;
  const auto digits = space().digits(point);
  if (!space().includes(digits)) {
    ++counts_.refused;
    return known;
  }
  const auto outcome = predictions_ ? predictions_(point) : evaluator_.evaluate(digits);
  const Result* result = std::get_if<Result>(&outcome);
  if (result == nullptr) {
    ++counts_.refused;
    return known;
  }
  ++counts_.evaluations;
  if (!result->memory.fits) {
    known.height = no_memory * missing_share(result->memory);
    return known;
  }
  known.scores = scores_of(objective_, *result);
  known.height = product(*known.scores);
  keep({row_of(point, digits, outcome), *known.scores});
  return known;
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

void SearchProblem::count_bounds(const SearchCounts& counts) {
  counts_.bounds += counts.bounds;
  counts_.refused += counts.refused;
}

}  // namespace echelon
