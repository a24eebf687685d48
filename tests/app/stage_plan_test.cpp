#include "sim/app/stage_plan.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/catch.h"

using namespace echelon;

namespace {

// The least slowest stage by every way to cut, one by one.
double by_force(const std::vector<Seconds>& layers, std::size_t first, std::size_t stages) {
  double sum = 0;
  if (stages == 1) {
    for (std::size_t i = first; i < layers.size(); ++i) sum += layers[i].value();
    return sum;
  }
  double best = INFINITY;
  for (std::size_t i = first; i + stages <= layers.size(); ++i) {
    sum += layers[i].value();
    best = std::min(best, std::max(sum, by_force(layers, i + 1, stages - 1)));
  }
  return best;
}

}  // namespace

TEST_CASE("no cut of the layers has a faster slowest stage than the table says") {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    std::vector<Seconds> layers;
    const std::size_t count = 1 + random() % 10;
    for (std::size_t i = 0; i < count; ++i) layers.emplace_back(1 + static_cast<double>(random() % 50));
    const auto slowest = slowest_stages(layers, 20);
    REQUIRE(slowest.size() == layers.size());
    for (std::size_t stages = 1; stages <= layers.size(); ++stages)
      CHECK(slowest[stages - 1].value() == Approx(by_force(layers, 0, stages)));
  }
}

TEST_CASE("the estimate is the sum of the stages and the slowest once for every further micro-batch") {
  Scenario scenario;
  scenario.strategy.mesh.pipeline = 2;
  scenario.strategy.mesh.data = 4;
  scenario.strategy.micro_batch = 2;
  scenario.workload.global_batch = 48;  // 6 micro-batches
  const std::vector<Seconds> layers = {Seconds(2), Seconds(3), Seconds(4)};
  const auto slowest = slowest_stages(layers, 3);
  // {2, 3 | 4}: 9 + 5 x 5.
  CHECK(stage_estimate(scenario, layers, slowest).value() == Approx(34));
  // Stages of two chunks start and drain in half the time: 6 x 5 + 4 / 2.
  scenario.strategy.virtual_stages = 2;
  CHECK(stage_estimate(scenario, layers, slowest).value() == Approx(32));
  scenario.strategy.mesh.pipeline = 4;
  CHECK(std::isinf(stage_estimate(scenario, layers, slowest).value()));
}
