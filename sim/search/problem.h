// What a search method sees of a space: points, what they score, what they score at least, and a budget.
//
// A full evaluation is a replay of a whole iteration. Points that a condition leaves out, the strategy refuses or the
// cluster's size rules out cost none, nor does asking for the same point again. What breaks a limit of the document's
// `search.constraints` cannot run.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <variant>
#include <vector>

#include "sim/search/objective.h"
#include "sim/sweep/point_evaluator.h"
#include "sim/sweep/row.h"

namespace echelon {

// A point that can run.
struct Found {
  Row row;
  Scores scores;
  std::optional<Forecast> run;  // where it is known how many tokens it has
};

// What a point that can be laid out costs, whether it fits or not.
struct PointCost {
  double score = 0;  // of several, the product
  double bytes = 0;  // on the fullest rank
};

// The points that fit and break a limit, each under the first that it breaks.
struct LimitTally {
  std::int64_t points = 0;
  double least = 0;  // taken by one of them, or a lower bound of it: GPUs, seconds, USD
};

struct SearchCounts {
  std::int64_t evaluations = 0;  // whole iterations replayed
  std::int64_t bounds = 0;       // iterations of few micro-batches replayed
  std::int64_t refused = 0;      // points that a condition, the strategy or the number of GPUs rules out at once
  std::array<LimitTally, limit_count> limited{};  // by Limit

  void tally(const BrokenLimit& broken);
  void add(const SearchCounts& other);
};

// Stands in for simulate() where points were predicted before (sim/dataset/rank.h): asked once for each point that is
// looked at and that no condition leaves out. Of the result, what objectives and memory are told by must be filled.
using KnownPredictions = std::function<std::variant<Result, Infeasible>(std::int64_t point)>;

class SearchProblem {
 public:
  // With `predictions` nothing is simulated. Throws InputError for what is wrong with the document.
  SearchProblem(const SpaceDocument& document, Objective objective, std::int64_t budget,
                KnownPredictions predictions = nullptr);

  const SpaceDocument& document() const { return document_; }
  const Space& space() const { return evaluator_.space(); }
  Objective objective() const { return objective_; }
  std::int64_t budget() const { return budget_; }
  const RunLimits& limits() const { return limits_; }
  bool spent() const { return counts_.evaluations >= budget_; }
  // The budget is spent, or there is no point left to look at.
  bool exhausted() const { return spent() || static_cast<std::int64_t>(known_.size()) == space().size(); }
  // Looks at points after which a method that draws them gives up: in a small space nearly all are known already.
  std::int64_t most_looks() const;

  // The scores of a point that can run; nothing for one that cannot, or that was not evaluated because the budget is
  // spent.
  std::optional<Scores> evaluate(std::int64_t point);

  // The same as one number for methods that climb: the score (of several, the product), and for points that cannot run
  // something larger than any score, growing with what is missing: first memory, then time or money.
  double height(std::int64_t point);

  // Nothing for a point that cannot be laid out or was not evaluated.
  std::optional<PointCost> cost(std::int64_t point) { return look_at(point).cost; }

  // The best so far by the one score, or all that no other one dominates, in the order of points; of equal scores the
  // lowest point.
  const std::vector<Found>& found() const { return found_; }
  const SearchCounts& counts() const { return counts_; }
  // The scenario of what was found, valid until anything else is asked for.
  const Scenario& scenario_of(const Found& found);
  void add_counts(const SearchCounts& counts) { counts_.add(counts); }

 private:
  struct Known {
    std::optional<Scores> scores;
    double height = 0;
    std::optional<PointCost> cost;
  };
  const Known& look_at(std::int64_t point);
  Known predicted(std::int64_t point, const std::vector<std::size_t>& digits, const Scenario& scenario);
  // `scenario`: null where predictions are known, which no limit is held against.
  Known weighed(std::int64_t point, const std::vector<std::size_t>& digits, const Scenario* scenario,
                const std::variant<Result, Infeasible>& outcome);
  void keep(Found found);

  SpaceDocument document_;
  PointEvaluator evaluator_;
  RunLimits limits_;
  KnownPredictions predictions_;
  Objective objective_;
  std::int64_t budget_;
  SearchCounts counts_;
  std::unordered_map<std::int64_t, Known> known_;
  std::vector<Found> found_;
};

}  // namespace echelon
