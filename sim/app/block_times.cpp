#include "sim/app/block_times.h"

#include <algorithm>

#include "sim/app/machines.h"
#include "sim/app/pricing.h"
#include "strategies/lower.h"

namespace echelon {

std::variant<BlockTimes, Infeasible> block_times(const Scenario& scenario) {
  auto lowered = lower(scenario.model, scenario.workload, scenario.strategy, placement_of(scenario));
  if (auto* refusal = std::get_if<Infeasible>(&lowered)) return *refusal;
  const auto& lowering = std::get<Lowering>(lowered);
  Pricers pricers(scenario, lowering);
  BlockTimes times;
  times.kind_of = lowering.kind_of;
  for (std::size_t kind = 0; kind < lowering.kinds.size(); ++kind) {
    times.by_kind.emplace_back();
    for (std::size_t block = 0; block < scenario.model.blocks.size(); ++block) {
      Seconds sum;
      for (const OperatorPrice& price :
           pricers.explain(static_cast<std::int32_t>(kind), static_cast<std::int32_t>(block)))
        sum += price.forward + price.backward;
      times.by_kind.back().push_back(sum);
    }
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
