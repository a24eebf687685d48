#include "sim/app/block_times.h"

#include <algorithm>

#include "sim/app/machines.h"
#include "sim/app/pricing.h"
#include "strategies/lower.h"

namespace echelon {

std::variant<BlockTimes, Infeasible> block_times(const Scenario& scenario) {
  auto lowered = lower(scenario.model, scenario.workload, scenario.strategy, placement_of(scenario));
  if (auto* refusal = std::get_if<Infeasible>(&lowered)) return *refusal;
  auto& lowering = std::get<Lowering>(lowered);
  const std::size_t blocks = scenario.model.blocks.size();
  const std::size_t shares = lowering.kinds.size() * blocks;
  lowering.works.clear();
  lowering.sites.clear();
  for (std::size_t share = 0; share < shares; ++share)
    for (const Pass pass : {Pass::forward, Pass::backward}) {
      const auto kind = static_cast<std::int32_t>(share / blocks);
      lowering.works.emplace_back(ComputeWork{{{static_cast<std::int32_t>(share), pass, Rerun::nothing, 1, {}}}});
      lowering.sites.push_back({kind, kind});
    }
  const std::vector<Price> prices = Pricers(scenario, lowering).price_all().by_work;
  BlockTimes times;
  times.kind_of = lowering.kind_of;
  times.by_kind.resize(lowering.kinds.size());
  for (std::size_t share = 0; share < shares; ++share) {
    const Price& forward = prices[2 * share];
    const Price& backward = prices[2 * share + 1];
    // A host that is behind in one pass is ahead in the other.
    times.by_kind[share / blocks].push_back(
        std::max(forward.device() + backward.device(), forward.host + backward.host));
  }
  return times;
}

std::variant<PlannedTimes, Infeasible> pass_times(const Scenario& scenario) {
  // One micro-batch has every pass, and costs next to nothing to lower.
  Workload workload = scenario.workload;
  workload.global_batch /= std::max<std::int64_t>(1, scenario.micro_batches());
  auto lowered = lower(scenario.model, workload, scenario.strategy, placement_of(scenario));
  if (auto* refusal = std::get_if<Infeasible>(&lowered)) return *refusal;
  Lowering& lowering = std::get<Lowering>(lowered);
  const auto& tasks = lowering.graph.programs.front().tasks;
  const auto sends =
      std::find_if(tasks.begin(), tasks.end(), [](const Task& task) { return task.kind == TaskKind::send_activation; });
  std::vector<Work> works;
  if (sends != tasks.end()) works.push_back(lowering.works[static_cast<std::size_t>(sends->work)]);
  const std::size_t messages = works.size();
  for (std::size_t block = 0; block < scenario.model.blocks.size(); ++block)
    for (const Pass pass : {Pass::forward, Pass::input_gradient, Pass::weight_gradient}) {
      LayerRun run;
      run.block = static_cast<std::int32_t>(block);
      run.pass = pass;
      works.emplace_back(ComputeWork{{run}});
    }
  lowering.works = std::move(works);
  lowering.sites.assign(lowering.works.size(), {});
  const std::vector<Price> prices = Pricers(scenario, lowering).price_all().by_work;
  PlannedTimes times;
  if (messages > 0) times.message = prices.front().device().value();
  for (std::size_t i = messages; i < prices.size(); i += 3)
    times.blocks.push_back(
        {prices[i].device().value(), prices[i + 1].device().value(), prices[i + 2].device().value()});
  return times;
}

std::variant<std::vector<Seconds>, Infeasible> part_times(const Scenario& scenario,
                                                          const std::vector<SequencePart>& parts) {
  auto lowered = lower(scenario.model, scenario.workload, scenario.strategy, placement_of(scenario));
  if (auto* refusal = std::get_if<Infeasible>(&lowered)) return *refusal;
  Lowering& lowering = std::get<Lowering>(lowered);
  lowering.works.clear();
  for (const SequencePart& part : parts) {
    ComputeWork work;
    for (const std::int32_t layer : scenario.model.layers)
      for (const Pass pass : {Pass::forward, Pass::backward})
        work.runs.push_back({layer, pass, Rerun::nothing, 1, part});
    lowering.works.emplace_back(std::move(work));
  }
  lowering.sites.assign(lowering.works.size(), {});
  std::vector<Seconds> times;
  for (const Price& price : Pricers(scenario, lowering).price_all().by_work) times.push_back(price.device());
  return times;
}

}  // namespace echelon
