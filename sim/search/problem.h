// What a search method sees of a space: points, what they score, what they score at least, and a budget.
//
// A full evaluation is a replay of a whole iteration. Points that a condition leaves out or the strategy refuses cost
// none, nor does asking for the same point again.
#pragma once

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
};

struct SearchCounts {
  std::int64_t evaluations = 0;  // whole iterations replayed
  std::int64_t bounds = 0;       // iterations of few micro-batches replayed
  std::int64_t refused = 0;      // points that a condition or the strategy rules out at once
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
  bool exhausted() const { return counts_.evaluations >= budget_; }
  // Looks at points after which a method that draws them gives up: in a small space nearly all are known already.
  std::int64_t most_looks() const;

  // The scores of a point that can run; nothing for one that cannot, or that was not evaluated because the budget is
  // spent.
  std::optional<Scores> evaluate(std::int64_t point);

  // The same as one number for methods that climb: the score (of several, the product), and for points that cannot run
  // something larger than any score, growing with the memory that is missing.
  double height(std::int64_t point);

  // The best so far by the one score, or all that no other one dominates, in the order of points; of equal scores the
  // lowest point.
  const std::vector<Found>& found() const { return found_; }
  const SearchCounts& counts() const { return counts_; }
  void count_bounds(const SearchCounts& counts);

 private:
  struct Known {
    std::optional<Scores> scores;
    double height = 0;
  };
  const Known& look_at(std::int64_t point);
  void keep(Found found);

  SpaceDocument document_;
  PointEvaluator evaluator_;
  KnownPredictions predictions_;
  Objective objective_;
  std::int64_t budget_;
  SearchCounts counts_;
  std::unordered_map<std::int64_t, Known> known_;
  std::vector<Found> found_;
};

}  // namespace echelon
