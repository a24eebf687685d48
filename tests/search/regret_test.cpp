// How far from the optimum the methods that promise none end, in all 36 spaces, and with how many evaluations.
#include <algorithm>
#include <numeric>
#include <tuple>

#include "sim/search/method.h"
#include "tests/catch.h"
#include "tests/search/spaces.h"

using namespace echelon;

namespace {

constexpr std::int64_t no_limit = 1'000'000'000;

struct Regret {
  std::vector<double> regrets;  // score over the optimum - 1, in the spaces where anything can run
  int missed = 0;               // spaces of which a point can run and none was found
  std::int64_t evaluations = 0;
  std::int64_t points = 0;  // of the spaces

  double mean() const {
    return std::accumulate(regrets.begin(), regrets.end(), 0.0) / static_cast<double>(regrets.size());
  }
  double worst() const { return *std::max_element(regrets.begin(), regrets.end()); }
};

struct Space36 {
  SpaceDocument document;
  double best = 0;  // 0: nothing can run
};

std::vector<Space36> spaces() {
  std::vector<Space36> all;
  for (const std::string& run : test::runs)
    for (const std::string& axes : test::axes) {
      Space36 space{test::space_document(run + axes)};
      SearchProblem problem(space.document, Objective::time, no_limit);
      search_bounded(problem, {1, 2});
      if (!problem.found().empty()) space.best = problem.found()[0].scores[0];
      all.push_back(std::move(space));
    }
  return all;
}

Regret regret_of(std::string_view method, const std::vector<Space36>& spaces, std::int64_t evaluations) {
  Regret regret;
  for (const Space36& space : spaces) {
    SearchProblem problem(space.document, Objective::time, evaluations);
    search_method(method)->run(problem, {1, 2});
    regret.evaluations += problem.counts().evaluations;
    regret.points += problem.space().size();
    if (space.best == 0)
      CHECK(problem.found().empty());
    else if (problem.found().empty())
      ++regret.missed;
    else
      regret.regrets.push_back(problem.found()[0].scores[0] / space.best - 1);
  }
  WARN(fmt::format("{}: regret {:.2f} % at the mean, {:.1f} % at worst, {} spaces missed, {} evaluations of {} points",
                   method, 100 * regret.mean(), 100 * regret.worst(), regret.missed, regret.evaluations,
                   regret.points));
  return regret;
}

}  // namespace

TEST_CASE("methods after the papers come near the optimum of 36 spaces by themselves") {
  const auto all = spaces();
  for (const auto& [method, mean, worst] :
       {std::tuple("stages", 0.005, 0.05), std::tuple("frontier", 0.005, 0.05), std::tuple("bisection", 0.01, 0.1)}) {
    CAPTURE(method);
    const Regret regret = regret_of(method, all, no_limit);
    CHECK(regret.missed == 0);
    CHECK(regret.mean() <= mean);
    CHECK(regret.worst() <= worst);
    CHECK(regret.evaluations * 3 < regret.points);
  }
}

TEST_CASE("methods that draw points come near the optimum of most of 36 spaces in 60 evaluations") {
  const auto all = spaces();
  for (const char* method : {"random", "evolutionary", "annealing", "descent"}) {
    CAPTURE(method);
    CHECK(regret_of(method, all, 60).mean() <= 0.1);
  }
}
