#include "sim/search/method.h"
#include "sim/search/walk.h"

namespace echelon {

namespace {

// The best of the points that differ in one digit, if it is better.
std::int64_t best_neighbour(SearchProblem& problem, std::int64_t point) {
  const Space& space = problem.space();
  std::int64_t best = point;
  double least = problem.height(point);
  for (std::size_t axis = 0; axis < space.axes().size(); ++axis) {
    auto digits = space.digits(point);
    for (std::size_t value = 0; value < space.axes()[axis].values.size(); ++value) {
      digits[axis] = value;
      const std::int64_t other = space.point_of(digits);
      if (problem.height(other) >= least) continue;
      best = other;
      least = problem.height(other);
    }
  }
  return best;
}

}  // namespace

void search_descent(SearchProblem& problem, const SearchOptions& options) {
  Draw draw(options.seed);
  for (std::int64_t start = 0; start < problem.most_looks() && !problem.exhausted(); ++start) {
    std::int64_t point = random_point(problem.space(), draw);
    for (std::int64_t next = best_neighbour(problem, point); next != point && !problem.exhausted();
         next = best_neighbour(problem, point))
      point = next;
  }
}

}  // namespace echelon
