#include "sim/search/method.h"

#include <chrono>
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

// Of one method over all 36 spaces.
struct Effort {
  std::int64_t evaluations = 0;
  std::int64_t bounds = 0;
  std::chrono::duration<double> time{0};
};

std::unique_ptr<SearchProblem> searched(const SpaceDocument& document, std::string_view method, Effort& effort) {
  const auto begin = std::chrono::steady_clock::now();
  auto problem = searched(document, Objective::time, method);
  effort.time += std::chrono::steady_clock::now() - begin;
  effort.evaluations += problem->counts().evaluations;
  effort.bounds += problem->counts().bounds;
  return problem;
}

}  // namespace

TEST_CASE("the default finds the exhaustive optimum in 40 spaces, with a fiftieth of the evaluations") {
  Effort exhaustive;
  Effort bounded;
  int fiftieths = 0;  // spaces
  int small = 0;      // of the others those with fewer than fifty points to evaluate, where one is too many
  int spaces = 0;
  for (const std::string& text : test::all_spaces()) {
    const SpaceDocument document = test::space_document(text);
    const auto all = searched(document, "exhaustive", exhaustive);
    const auto few = searched(document, search_methods().front().name, bounded);
    REQUIRE(all->found().size() == few->found().size());
    if (!all->found().empty()) {
      CHECK(all->found()[0].row.point == few->found()[0].row.point);
      CHECK(all->found()[0].scores == few->found()[0].scores);
    }
    CHECK(few->counts().evaluations <= all->counts().evaluations);
    ++spaces;
    if (few->counts().evaluations * 50 <= all->counts().evaluations)
      ++fiftieths;
    else if (all->counts().evaluations < 50)
      ++small;
    else
      WARN(fmt::format("space {}: {} evaluations of {}", spaces, few->counts().evaluations, all->counts().evaluations));
  }
  WARN(
      fmt::format("bounded: {} evaluations and {} bounds, {:.2f} s; exhaustive: {} evaluations, {:.2f} s; fifty times "
                  "as many in {} of {} spaces, {} have fewer than fifty points",
                  bounded.evaluations, bounded.bounds, bounded.time.count(), exhaustive.evaluations,
                  exhaustive.time.count(), fiftieths, spaces, small));
  CHECK(bounded.evaluations * 50 < exhaustive.evaluations);
}

TEST_CASE("other objectives are found as exactly") {
  // A space with clusters of three sizes, so that cost and energy are not time by another name.
  const SpaceDocument document = test::space_document(test::runs[1] + test::axes[5]);
  for (const Objective objective : {Objective::cost, Objective::energy, Objective::memory, Objective::pareto}) {
    const auto all = searched(document, objective, "exhaustive");
    const auto few = searched(document, objective, "bounded");
    REQUIRE(!all->found().empty());
    REQUIRE(all->found().size() == few->found().size());
    for (std::size_t i = 0; i < all->found().size(); ++i) CHECK(all->found()[i].row.point == few->found()[i].row.point);
    CHECK(few->counts().evaluations < all->counts().evaluations);
  }
}

TEST_CASE("nothing on a front is beaten by anything, and all that is not beaten is there") {
  const SpaceDocument document = test::space_document(test::runs[1] + test::axes[0]);
  const auto front = searched(document, Objective::pareto, "exhaustive");
  REQUIRE(front->found().size() > 1);
  PointEvaluator evaluator(document);
  for (std::int64_t point = 0; point < evaluator.space().size(); ++point) {
    const auto outcome = evaluator.evaluate(evaluator.space().digits(point));
    const Result* result = std::get_if<Result>(&outcome);
    if (result == nullptr || !result->memory.fits) continue;
    const Scores scores = scores_of(Objective::pareto, *result);
    bool covered = false;
    for (const Found& found : front->found()) {
      CHECK(!dominates(scores, found.scores));
      covered = covered || covers(found.scores, scores);
    }
    CHECK(covered);
  }
}

TEST_CASE("every method keeps to its budget, repeats itself, and comes near the optimum") {
  const SpaceDocument document = test::space_document(test::runs[2] + test::axes[0]);
  const double best = searched(document, Objective::time, "bounded")->found().at(0).scores[0];
  for (const SearchMethod& method : search_methods()) {
    CAPTURE(method.name);
    constexpr std::int64_t budget = 60;
    const auto one = searched(document, Objective::time, method.name, budget, 1);
    const auto same = searched(document, Objective::time, method.name, budget, 2);
    CHECK(one->counts().evaluations <= budget);
    if (method.name == "exhaustive") continue;  // its first 60 points do not run
    REQUIRE(!one->found().empty());
    CHECK(one->found()[0].row.point == same->found()[0].row.point);
    CHECK(one->counts().evaluations == same->counts().evaluations);
    CHECK(one->found()[0].scores[0] >= best);
    CHECK(one->found()[0].scores[0] <= 1.3 * best);
  }
}

TEST_CASE("methods that draw points end in a space that has fewer than their budget") {
  const SpaceDocument document =
      test::space_document(test::runs[0] + "}\nsweep: {axes: {strategy.micro_batch: [1, 2]}}\n");
  for (const SearchMethod& method : search_methods()) {
    const auto problem = searched(document, Objective::time, method.name, 1000);
    CHECK(problem->counts().evaluations <= 2);
    CHECK(problem->found().size() == 1);
  }
}

TEST_CASE("a method without a budget ends when it has seen every point") {
  const SpaceDocument document =
      test::space_document(test::runs[0] + "}\nsweep: {axes: {strategy.micro_batch: [1, 2]}}\n");
  SearchProblem problem(document, Objective::time, no_limit);
  CHECK(!problem.exhausted());
  problem.evaluate(0);
  CHECK(!problem.exhausted());
  problem.evaluate(1);
  CHECK(problem.exhausted());
}

TEST_CASE("a schedule without a bound is evaluated, never lost") {
  const SpaceDocument document = test::space_document(
      test::runs[0] +
      "}\nsweep: {axes: {strategy.schedule: [1f1b, zb_h1, zb_v], strategy.pipeline_parallel: [2, 4]}}\n");
  const auto all = searched(document, Objective::time, "exhaustive");
  const auto few = searched(document, Objective::time, "bounded");
  CHECK(few->found().at(0).row.point == all->found().at(0).row.point);
}
