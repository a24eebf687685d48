#include "sim/search/method.h"

namespace echelon {

void search_exhaustive(SearchProblem& problem, const SearchOptions&) {
  for (std::int64_t point = 0; point < problem.space().size() && !problem.exhausted(); ++point) problem.evaluate(point);
}

}  // namespace echelon
