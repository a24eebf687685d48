// Limits of a run: what breaks one cannot be found, and what is found is the best of the rest.
#include <fmt/ranges.h>

#include <memory>

#include "sim/app/simulate.h"
#include "sim/app/whole_run.h"
#include "sim/search/method.h"
#include "tests/catch.h"
#include "tests/search/spaces.h"

using namespace echelon;

namespace {

constexpr std::int64_t no_limit = 1'000'000'000;

// Four clusters of two machines, and layouts on each: 96 points, of which 86 run. 10^11 tokens take 2.4 to 9.7 days and
// 5,277 to 14,831 USD. The run's limits follow.
const std::string clusters = R"(echelon: 1
model: {layers: 24, hidden: 4096, heads: 32, vocabulary: 32000}
cluster: {profile: dgx-h100, nodes: 2}
workload: {sequence_length: 4096, global_batch: 256}
strategy: {data_parallel: auto, overlap_gradient_reduce: true}
sweep:
  axes:
    cluster:
      - {profile: dgx-h100, nodes: 2}
      - {profile: dgx-h100, nodes: 4}
      - {profile: dgx-a100-80g, nodes: 4}
      - {profile: dgx-a100-80g, nodes: 8, usd_per_gpu_hour: 1.2}
    strategy.tensor_parallel: [1, 2, 4, 8]
    strategy.pipeline_parallel: [1, 2, 4]
    strategy.micro_batch: [1, 2]
search: {constraints: {)";

std::unique_ptr<SearchProblem> searched(const std::string& limits, Objective objective, const std::string& method) {
  auto problem = std::make_unique<SearchProblem>(test::space_document(clusters + limits + "}}\n"), objective, no_limit);
  search_method(method)->run(*problem, {1, 2});
  return problem;
}

// Days and money of every point that fits.
struct Point {
  std::int64_t point = 0;
  double days = 0;
  double usd = 0;
  std::int64_t gpus = 0;
};

std::vector<Point> all_points(double tokens) {
  PointEvaluator evaluator(test::space_document(clusters + "tokens: 1}}\n"));
  std::vector<Point> points;
  for (std::int64_t point = 0; point < evaluator.space().size(); ++point) {
    const auto there = evaluator.scenario(evaluator.space().digits(point));
    const auto* scenario = std::get_if<const Scenario*>(&there);
    if (scenario == nullptr) continue;
    const auto outcome = simulate(**scenario);
    const auto* result = std::get_if<Result>(&outcome);
    if (result == nullptr || !result->memory.fits) continue;
    const auto run = whole_run(**scenario, *result, tokens);
    points.push_back({point, run->wall.value() / 86400, *run->rented_usd, (*scenario)->gpus});
  }
  return points;
}

}  // namespace

TEST_CASE("the cheapest and the fastest run within deadline, budget and cluster size are found exactly") {
  constexpr double tokens = 1e11;
  const auto points = all_points(tokens);
  REQUIRE(points.size() == 86);
  struct Limits {
    double days;
    double usd;
    std::int64_t gpus;
  };
  int found = 0;
  for (const Limits& limits :
       {Limits{1e6, 1e9, 64}, Limits{5.2, 1e9, 64}, Limits{1e6, 6000, 64}, Limits{1e6, 1e9, 16}, Limits{3.3, 6100, 64},
        Limits{5.6, 1e9, 16}, Limits{3.1, 7000, 32}, Limits{1, 1e9, 64}}) {
    CAPTURE(limits.days, limits.usd, limits.gpus);
    const std::string text = fmt::format("tokens: {}, deadline_days: {}, budget_usd: {}, max_gpus: {}", tokens,
                                         limits.days, limits.usd, limits.gpus);
    for (const Objective objective : {Objective::time, Objective::cost}) {
      const Point* best = nullptr;
      for (const Point& point : points) {
        if (point.days > limits.days || point.usd > limits.usd || point.gpus > limits.gpus) continue;
        const bool better =
            best == nullptr || (objective == Objective::time ? point.days < best->days : point.usd < best->usd);
        if (better) best = &point;
      }
      for (const char* method : {"bounded", "exhaustive"}) {
        const auto problem = searched(text, objective, method);
        REQUIRE(problem->found().size() == (best != nullptr ? 1 : 0));
        if (best == nullptr) continue;
        ++found;
        CHECK(problem->found()[0].row.point == best->point);
        CHECK(problem->found()[0].run->wall.value() / 86400 == Approx(best->days));
      }
    }
  }
  CHECK(found == 28);  // seven of eight, two objectives, two methods
}

TEST_CASE("what no point keeps is told with the least that one would take") {
  const auto problem = searched("tokens: 1e11, deadline_days: 0.5", Objective::time, "exhaustive");
  CHECK(problem->found().empty());
  const LimitTally& late = problem->counts().limited[static_cast<std::size_t>(Limit::deadline)];
  double least = 1e30;
  for (const Point& point : all_points(1e11)) least = std::min(least, point.days);
  CHECK(late.points == static_cast<std::int64_t>(all_points(1e11).size()));
  CHECK(late.least / 86400 == Approx(least));
  const auto bounded = searched("tokens: 1e11, deadline_days: 0.5", Objective::time, "bounded");
  const LimitTally& ruled_out = bounded->counts().limited[static_cast<std::size_t>(Limit::deadline)];
  CHECK(ruled_out.points == late.points);
  CHECK(ruled_out.least <= late.least);
}

TEST_CASE("methods that climb find their way out of what breaks a limit") {
  for (const char* method : {"evolutionary", "descent", "annealing", "frontier", "bisection", "stages"}) {
    CAPTURE(method);
    const auto problem = searched("tokens: 1e11, deadline_days: 2.6", Objective::cost, method);
    CHECK(problem->found().size() == 1);
  }
}

TEST_CASE("a price that is not known keeps a point from being the cheapest") {
  const std::string text = test::runs[5] + "}\nsweep: {axes: {strategy.micro_batch: [1, 2]}}\n";
  const auto none = std::make_unique<SearchProblem>(test::space_document(text), Objective::cost, no_limit);
  search_bounded(*none, {});
  CHECK(none->found().empty());
  CHECK(none->counts().limited[static_cast<std::size_t>(Limit::price)].points > 0);
  SpaceDocument priced = test::space_document(text);
  priced.overrides = {"cluster.usd_per_gpu_hour=1"};
  const auto one = std::make_unique<SearchProblem>(priced, Objective::cost, no_limit);
  search_bounded(*one, {});
  CHECK(one->found().size() == 1);
}

TEST_CASE("a deadline for a run of unknown length is refused where it stands") {
  const auto document = test::space_document(clusters + "deadline_days: 3}}\n");
  try {
    SearchProblem problem(document, Objective::time, 1);
    FAIL("a deadline without tokens is taken");
  } catch (const InputError& error) {
    CHECK(error.where().line == 16);
    CHECK(error.problem().find("expected search.constraints.tokens") != std::string::npos);
  }
}

TEST_CASE("a cluster's own price does not outlast it") {
  PointEvaluator evaluator(test::space_document(clusters + "tokens: 1}}\n"));
  const auto price_of = [&](std::size_t cluster) {
    return std::get<const Scenario*>(evaluator.scenario({cluster, 0, 0, 0}))->profile.price_usd_per_gpu_hour;
  };
  const double listed = price_of(2);
  CHECK(price_of(3) == 1.2);
  CHECK(price_of(2) == listed);
  CHECK(listed != 1.2);
  // Nor does where it comes from.
  const auto sources_of = [&](std::size_t cluster) {
    return fmt::format(
        "{}", fmt::join(std::get<const Scenario*>(evaluator.scenario({cluster, 0, 0, 0}))->profile.sources, "|"));
  };
  const std::string own = "the scenario's cluster.usd_per_gpu_hour";
  CHECK(sources_of(3).find(own) != std::string::npos);
  CHECK(sources_of(2).find(own) == std::string::npos);
  CHECK(sources_of(2).find("pricegpu") != std::string::npos);
  CHECK(sources_of(3).find("pricegpu") == std::string::npos);
}
