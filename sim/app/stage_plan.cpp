#include "sim/app/stage_plan.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "sim/app/block_times.h"

namespace echelon {

std::variant<std::vector<Seconds>, Infeasible> layer_times(const Scenario& scenario) {
  Scenario few = scenario;  // as many micro-batches as the pipeline has ranks: what a layer takes does not depend on it
  Strategy& strategy = few.strategy;
  strategy.balances_stages = strategy.recompute_least = strategy.thresholds_stages = false;
  few.workload.global_batch =
      std::min(scenario.workload.global_batch, strategy.mesh.pipeline * strategy.mesh.data * strategy.micro_batch);
  const auto outcome = block_times(few);
  if (const auto* refusal = std::get_if<Infeasible>(&outcome)) return *refusal;
  const auto& times = std::get<BlockTimes>(outcome);
  const auto& by_block = times.by_kind[static_cast<std::size_t>(times.kind_of.front())];
  const Model& model = scenario.model;
  std::vector<Seconds> layers;
  for (const std::int32_t block : model.layers) layers.push_back(by_block[static_cast<std::size_t>(block)]);
  if (layers.empty()) return Infeasible{"the model has no layers"};
  if (model.embedding >= 0) layers.front() += by_block[static_cast<std::size_t>(model.embedding)];
  if (model.head >= 0) layers.back() += by_block[static_cast<std::size_t>(model.head)];
  return layers;
}

std::vector<Seconds> slowest_stages(const std::vector<Seconds>& layers, std::size_t most) {
  std::vector<Seconds> until(layers.size() + 1);  // of the first j layers
  std::partial_sum(layers.begin(), layers.end(), until.begin() + 1);
  std::vector<Seconds> least(until);  // A(j, p), at first for p = 1
  std::vector<Seconds> slowest = {least.back()};
  for (std::size_t stages = 2; stages <= std::min(most, layers.size()); ++stages) {
    for (std::size_t j = layers.size(); j >= stages; --j) {
      Seconds best(std::numeric_limits<double>::infinity());
      for (std::size_t i = j - 1; i + 1 >= stages; --i) {
        best = std::min(best, std::max(least[i], until[j] - until[i]));
        if (until[j] - until[i] >= best) break;  // a longer last stage is no better
      }
      least[j] = best;
    }
    slowest.push_back(least.back());
  }
  return slowest;
}

Seconds stage_estimate(const Scenario& scenario, const std::vector<Seconds>& layers,
                       const std::vector<Seconds>& slowest) {
  const auto stages = static_cast<std::size_t>(scenario.strategy.mesh.pipeline);
  if (stages > slowest.size()) return Seconds(std::numeric_limits<double>::infinity());
  const Seconds most = slowest[stages - 1];
  const Seconds sum = std::accumulate(layers.begin(), layers.end(), Seconds(0));
  return most * static_cast<double>(scenario.micro_batches()) +
         (sum - most) * (1 / static_cast<double>(scenario.strategy.virtual_stages));
}

}  // namespace echelon
