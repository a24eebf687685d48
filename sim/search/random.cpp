#include "sim/search/method.h"
#include "sim/search/walk.h"

namespace echelon {

void search_random(SearchProblem& problem, const SearchOptions& options) {
  Draw draw(options.seed);
  for (std::int64_t looks = 0; looks < problem.most_looks() && !problem.exhausted(); ++looks)
    problem.evaluate(random_point(problem.space(), draw));
}

}  // namespace echelon
