// Layers on stages that somebody lists or balances.
#include "strategies/placement/stages.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "tests/catch.h"

using namespace echelon;

namespace {

double costliest(const std::vector<double>& costs, double first, double last, const std::vector<std::int64_t>& counts) {
  double most = 0;
  std::size_t next = 0;
  for (std::size_t stage = 0; stage < counts.size(); ++stage) {
    double sum = (stage == 0 ? first : 0) + (stage + 1 == counts.size() ? last : 0);
    for (std::int64_t i = 0; i < counts[stage]; ++i) sum += costs[next++];
    most = std::max(most, sum);
  }
  return most;
}

// The least over all partitions, by trying them.
double least_by_trying(const std::vector<double>& costs, double first, double last, std::size_t stages,
                       std::vector<std::int64_t>& counts) {
  const std::int64_t used = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  const auto left = std::ssize(costs) - used;
  if (counts.size() + 1 == stages) {
    counts.push_back(left);
    const double most = left > 0 ? costliest(costs, first, last, counts) : 1e300;
    counts.pop_back();
    return most;
  }
  double least = 1e300;
  for (std::int64_t take = 1; take < left; ++take) {
    counts.push_back(take);
    least = std::min(least, least_by_trying(costs, first, last, stages, counts));
    counts.pop_back();
  }
  return least;
}

}  // namespace

TEST_CASE("balanced stages have the least costliest one") {
  std::mt19937_64 random(31);
  const auto draw = [&] { return static_cast<double>(1 + random() % 20); };
  for (int round = 0; round < 300; ++round) {
    std::vector<double> costs(2 + random() % 8);
    for (double& cost : costs) cost = draw();
    const std::size_t stages = 1 + random() % std::min<std::size_t>(costs.size(), 4);
    const double first = draw();
    const double last = draw();
    const auto counts = balanced_layers(costs, first, last, static_cast<std::int64_t>(stages));
    REQUIRE(counts.size() == stages);
    CHECK(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}) == std::ssize(costs));
    CHECK(*std::min_element(counts.begin(), counts.end()) >= 1);
    std::vector<std::int64_t> none;
    CHECK(costliest(costs, first, last, counts) == least_by_trying(costs, first, last, stages, none));
  }
}

TEST_CASE("of equal layers and heavy ends the middle takes more, evenly") {
  // 14 layers of 1 on 4 stages with 2 at the last: 3 + 2 or fewer there, so 4 4 4 2 and 4 4 3 3 reach at most 4 and 5.
  CHECK(balanced_layers(std::vector<double>(14, 1), 0, 2, 4) == std::vector<std::int64_t>{4, 4, 4, 2});
  CHECK(balanced_layers(std::vector<double>(8, 1), 0, 0, 4) == std::vector<std::int64_t>{2, 2, 2, 2});
}

TEST_CASE("balanced stages keep to the layers that each may take") {
  using Counts = std::vector<std::int64_t>;
  const std::vector<LayerCosts> costs = {{std::vector<double>(12, 1), 0, 3}};
  const std::vector<std::int32_t> kinds = {0, 0, 0, 0};
  CHECK(balanced_layers(costs, kinds) == Counts{4, 4, 3, 1});
  CHECK(balanced_layers(costs, kinds, {4, 4, 1, 12}) == Counts{4, 4, 1, 3});
  CHECK(balanced_layers(costs, kinds, {3, 3, 3, 3}) == Counts{3, 3, 3, 3});
  CHECK(balanced_layers(costs, kinds, {3, 3, 3, 2}).empty());
}

TEST_CASE("nanotron's stages take the layer with which they reach their share") {
  // 16 layers of 67.1M weights and a head of 268.4M = 20 layers: half is 10 layers, with the embedding's 268.4M the
  // 940M that the playbook's runs (Rapid-LLM, bench_final2_mod_add.csv, "Local Params") name.
  CHECK(layers_by_thresholds(std::vector<double>(16, 1), 4, 2) == std::vector<std::int64_t>{10, 6});
  // Quarters of 5: 604M there.
  CHECK(layers_by_thresholds(std::vector<double>(16, 1), 4, 4) == std::vector<std::int64_t>{5, 5, 5, 1});
  // Of 28 layers of 113.2M and a head of 402.7M half is 15.8 layers: 2.21G there, so 16.
  CHECK(layers_by_thresholds(std::vector<double>(28, 113.2), 402.7, 2) == std::vector<std::int64_t>{16, 12});
  // Shares of 2: four of 2, and three stages in the middle left without.
  CHECK(layers_by_thresholds(std::vector<double>(8, 1), 8, 8) == std::vector<std::int64_t>{2, 1, 1, 1, 1, 1, 1, 0});
}

TEST_CASE("a list of layers is taken as it is, or refused with one that would do") {
  Strategy strategy;
  strategy.mesh.pipeline = 4;
  strategy.stage_layers = {1, 3, 3, 1};
  CHECK_FALSE(stage_refusal(8, strategy).has_value());
  CHECK(layers_by_stage(8, strategy) == std::vector<std::int64_t>{1, 3, 3, 1});
  strategy.stage_layers = {0, 4, 4, 0};  // embedding and loss on stages of their own
  CHECK_FALSE(stage_refusal(8, strategy).has_value());
  for (const std::vector<std::int64_t>& wrong :
       {std::vector<std::int64_t>{1, 3, 3}, {1, 3, 3, 2}, {2, 0, 4, 2}, {-1, 4, 4, 1}}) {
    strategy.stage_layers = wrong;
    REQUIRE(stage_refusal(8, strategy).has_value());
    CHECK(stage_refusal(8, strategy)->find("stage_layers [2, 2, 2, 2] would do") != std::string::npos);
  }
}
