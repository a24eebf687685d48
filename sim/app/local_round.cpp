#include "sim/app/local_round.h"

#include <fmt/format.h>

#include "sim/app/alignment.h"
#include "sim/app/memory_result.h"

namespace echelon {

bool trains_apart(const Scenario& scenario) {
  return scenario.strategy.mesh.local_groups > 1 && !scenario.strategy.local_steps.between;
}

std::variant<Result, Infeasible> simulate_round(const Scenario& scenario, Detail detail, const ReplayChoice& choice) {
  if (choice.kind == ReplayKind::full)
    return Infeasible{fmt::format(
        "full replay takes all data-parallel ranks for one group, not local_groups {}; local_groups 1 or folded "
        "replay would do",
        scenario.strategy.mesh.local_groups)};
  Scenario between = scenario;
  between.strategy.local_steps.between = true;
  auto outcome = simulate(between, detail, choice);
  if (std::holds_alternative<Infeasible>(outcome)) return outcome;
  const auto last = replay_iteration(scenario, choice.steady_state);
  if (const auto* refusal = std::get_if<Infeasible>(&last)) return *refusal;
  const auto& [lowering, prices, timeline, repetition, options, network] = std::get<Replayed>(last);

  Result& result = std::get<Result>(outcome);
  const auto steps = static_cast<double>(scenario.strategy.local_steps.every);
  LocalRound round{scenario.strategy.mesh.local_groups, scenario.strategy.local_steps.every, result.iteration,
                   (timeline.end + repetition.skipped()).seconds()};
  result.iteration = round.between * ((steps - 1) / steps) + round.closing / steps;
  const double longer = result.iteration / round.between;
  result.iteration_low *= longer;
  result.iteration_high *= longer;
  const Breakdown closing = break_down(lowering.graph, timeline, prices.shares, result.critical_stage, repetition);
  Breakdown mean = closing;
  mean.repeat(result.breakdown, 1 / steps - 1);  // closing / steps + (1 - 1 / steps) between
  result.breakdown = mean;
  result.bubble_fraction = mean.bubble / result.iteration;
  result.round = round;
  MemoryResult memory = memory_result(scenario, lowering, timeline);
  if (memory.peak > result.memory.peak) result.memory = std::move(memory);
  result.energy = Joules(0);
  add_money_and_energy(scenario, result);
  add_words(scenario, result);
  if (detail == Detail::operators)
    for (std::string& warning : alignment_warnings(lowering)) result.warnings.push_back(std::move(warning));
  return outcome;
}

}  // namespace echelon
