#include "sim/dataset/rank.h"

#include <cmath>

#include "tests/catch.h"
#include "tests/dataset/small_dataset.h"
#include "tests/search/spaces.h"

using namespace echelon;
using echelon::test::build_into;
using echelon::test::DatasetFolder;
using echelon::test::error_of;

namespace {

std::vector<const SearchMethod*> all_methods() {
  std::vector<const SearchMethod*> methods;
  for (const SearchMethod& method : search_methods()) methods.push_back(&method);
  return methods;
}

const SpaceDocument document = test::space_document(test::runs[0] + test::axes[0]);

}  // namespace

TEST_CASE("a search on recorded points is the search that simulates, point by point") {
  const DatasetFolder folder("replay");
  const RecordedPoints points(folder.path(), build_into(folder, document));
  for (const SearchMethod& method : search_methods())
    for (const Objective objective : {Objective::time, Objective::energy, Objective::memory, Objective::pareto}) {
      CAPTURE(method.name);
      SearchProblem simulated(document, objective, 40);
      SearchProblem replayed(document, objective, 40, [&](std::int64_t point) { return points.at(point); });
      method.run(simulated, {7, 2});
      method.run(replayed, {7, 2});
      CHECK(replayed.counts().evaluations == simulated.counts().evaluations);
      CHECK(replayed.counts().refused == simulated.counts().refused);
      REQUIRE(replayed.found().size() == simulated.found().size());
      for (std::size_t i = 0; i < replayed.found().size(); ++i) {
        CHECK(replayed.found()[i].row.point == simulated.found()[i].row.point);
        CHECK(replayed.found()[i].scores == simulated.found()[i].scores);
      }
    }
}

TEST_CASE("regret never grows, is never negative, and ends at nothing where all was looked at") {
  const DatasetFolder folder("regret");
  const Manifest manifest = build_into(folder, document);
  const RecordedPoints points(folder.path(), manifest);
  RankOptions options;
  options.seeds = 15;
  options.evaluations = manifest.rows();
  const Ranking ranking = rank_methods(document, points, all_methods(), options);
  CHECK(ranking.checkpoints.front() == 1);
  CHECK(ranking.checkpoints.back() == manifest.rows());
  CHECK(ranking.methods.size() == search_methods().size());
  CHECK(std::is_sorted(ranking.methods.begin(), ranking.methods.end(),
                       [](const MethodRank& a, const MethodRank& b) { return a.to_near < b.to_near; }));
  for (const MethodRank& rank : ranking.methods) {
    CAPTURE(rank.method);
    REQUIRE(rank.regret.size() == ranking.checkpoints.size());
    for (std::size_t i = 0; i < rank.regret.size(); ++i) {
      CHECK(rank.regret[i].low >= 0);
      CHECK(rank.regret[i].low <= rank.regret[i].median);
      CHECK(rank.regret[i].median <= rank.regret[i].high);
      if (i > 0) CHECK(rank.regret[i].high <= rank.regret[i - 1].high);
    }
    const bool draws = rank.method == "random" || rank.method == "evolutionary" || rank.method == "annealing" ||
                       rank.method == "descent" || rank.method == "frontier";
    CHECK(rank.searches == (draws ? options.seeds : 1));
    if (rank.method == "exhaustive" || rank.method == "bounded") {
      CHECK(rank.searches == 1);
      CHECK(rank.regret.back().high == 0);
    }
  }
}

TEST_CASE("the regret of random search is what drawing without putting back gives") {
  // Looks at points already known cost nothing, so the n-th evaluation is a draw of the N that can be laid out without
  // putting back: the best of n has rank r or better with probability 1 - C(N - r, n) / C(N, n), and the median search
  // is near (within 1 %) after the least n at which that is 1/2, r being the number of points within 1 %.
  const DatasetFolder folder("random");
  const Manifest manifest = build_into(folder, document);
  const RecordedPoints points(folder.path(), manifest);
  std::vector<double> scores;
  std::int64_t laid_out = 0;
  for (std::int64_t point = 0; point < manifest.combinations; ++point) {
    const auto outcome = points.at(point);
    const Result* result = std::get_if<Result>(&outcome);
    if (result == nullptr) continue;
    ++laid_out;
    if (result->memory.fits) scores.push_back(scores_of(Objective::time, *result)[0]);
  }
  const double best = *std::min_element(scores.begin(), scores.end());
  const auto near =
      std::count_if(scores.begin(), scores.end(), [&](double score) { return score <= best * (1 + Ranking::near); });
  std::int64_t expected = 0;
  for (double missed = 1; missed > 0.5; ++expected)
    missed *= static_cast<double>(laid_out - near - expected) / static_cast<double>(laid_out - expected);
  RankOptions options;
  options.seeds = 600;
  options.evaluations = laid_out;
  const Ranking ranking = rank_methods(document, points, {search_method("random")}, options);
  CAPTURE(laid_out, near, expected);
  // The median of 600 draws of such a count lies within 12 % with a probability beyond 0.99: the deviation of a median
  // is 1.25 / sqrt(600) of one draw's, at most 1.5 times the median.
  CHECK(ranking.methods[0].to_near == Approx(static_cast<double>(expected)).epsilon(0.2));
}

TEST_CASE("rankings repeat themselves and print what they hold") {
  const DatasetFolder folder("print");
  const RecordedPoints points(folder.path(), build_into(folder, document));
  RankOptions options;
  options.seeds = 5;
  options.evaluations = 30;
  int searched = 0;
  options.searched = [&] { ++searched; };
  const auto ranking = rank_methods(document, points, {search_method("random"), search_method("bounded")}, options);
  CHECK(searched == 7);  // the second search with bounds shows that its seed changes nothing
  options.searched = nullptr;
  const auto again = rank_methods(document, points, {search_method("random"), search_method("bounded")}, options);
  CHECK(ranking_json(ranking) == ranking_json(again));
  CHECK(ranking_json(ranking)["methods"][0]["method"] == "bounded");
  const std::string table = ranking_table(ranking, TableStyle::markdown);
  CHECK(table.rfind("| method | searches | evaluations to 1 % | after 10 | after 20 | after 30 |\n| --- | ---: |", 0) ==
        0);
  CHECK(table.find("| bounded | 1 | ") != std::string::npos);
}

TEST_CASE("a data set in which nothing runs has no ranking") {
  const SpaceDocument hopeless = test::document_of("    strategy.tensor_parallel: [3]\n");
  const DatasetFolder folder("hopeless");
  const RecordedPoints points(folder.path(), build_into(folder, hopeless));
  CHECK(error_of([&] { rank_methods(hopeless, points, all_methods(), {}); }).find("no point of the data set can run") !=
        std::string::npos);
}
