#include "sim/search/method.h"

#include <memory>

#include "tests/catch.h"
#include "tests/search/spaces.h"

using namespace echelon;

namespace {

constexpr std::int64_t no_limit = 1'000'000'000;

std::unique_ptr<SearchProblem> searched(const SpaceDocument& document, Objective objective, std::string_view method,
                                        std::int64_t budget = no_limit, int threads = 2) {
  auto problem = std::make_unique<SearchProblem>(document, objective, budget);
  search_method(method)->run(*problem, {1, threads});
  return problem;
}

}  // namespace

TEST_CASE("the default finds the exhaustive optimum in 36 spaces, with a fiftieth of the evaluations") {
  double exhaustive = 0;
  double bounded = 0;
  double points = 0;
  for (const std::string& run : test::runs)
    for (const std::string& axes : test::axes) {
      const SpaceDocument document = test::space_document(run + axes);
      const auto all = searched(document, Objective::time, "exhaustive");
      const auto few = searched(document, Objective::time, search_methods().front().name);
      REQUIRE(all->found().size() == few->found().size());
      if (!all->found().empty()) {
        CHECK(all->found()[0].row.point == few->found()[0].row.point);
        CHECK(all->found()[0].scores == few->found()[0].scores);
      }
      CHECK(few->counts().evaluations <= all->counts().evaluations);
      exhaustive += static_cast<double>(all->counts().evaluations);
      bounded += static_cast<double>(few->counts().evaluations);
      points += static_cast<double>(all->space().size());
    }
  WARN(points << " points, " << exhaustive << " evaluations against " << bounded << ": " << exhaustive / bounded);
  CHECK(bounded * 10 < exhaustive);
}
