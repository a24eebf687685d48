#include <algorithm>
#include <deque>
#include <map>

#include "strategies/pipeline/greedy.h"
#include "strategies/pipeline/order.h"
#include "strategies/pipeline/timing.h"

namespace echelon {

namespace {

// One micro-batch's passes through a rank's two chunks as slots of a block that repeats every six (arXiv:2405.15362,
// section 3): the four below, and its two weight gradients wherever a slot is free.
struct BuildingBlock {
  std::int64_t first_forward = 0;
  std::int64_t second_forward = 0;
  std::int64_t second_backward = 0;  // of the second chunk, which comes first
  std::int64_t first_backward = 0;
};
constexpr std::int64_t period = 6;

// `delay`: periods by which the backward passes come later.
RankOrder repeat(const BuildingBlock& block, std::int64_t micro_batches, std::int64_t delay) {
  std::map<std::int64_t, Action> slots;
  for (std::int64_t j = 0; j < micro_batches; ++j) {
    const auto at = [&](std::int64_t slot, Pass pass, std::int32_t chunk) {
      slots[slot + period * j] = {pass, chunk, static_cast<std::int32_t>(j)};
    };
    at(block.first_forward, Pass::forward, 0);
    at(block.second_forward, Pass::forward, 1);
    at(block.second_backward + period * delay, Pass::input_gradient, 1);
    at(block.first_backward + period * delay, Pass::input_gradient, 0);
  }
  RankOrder order;
  std::deque<Action> waiting;
  const auto weigh = [&] {
    order.push_back(waiting.front());
    order.back().pass = Pass::weight_gradient;
    waiting.pop_front();
  };
  std::int64_t now = slots.begin()->first;
  for (const auto& [slot, action] : slots) {
    for (; now < slot; ++now)
      if (!waiting.empty()) weigh();
    order.push_back(action);
    if (action.pass == Pass::input_gradient) waiting.push_back(action);
    now = slot + 1;
  }
  while (!waiting.empty()) weigh();
  return order;
}

bool are_even(const ScheduleCosts& costs) {
  return std::all_of(costs.stages.begin(), costs.stages.end(),
                     [&](const StageCost& cost) { return cost == costs.stages.front(); });
}

// The blocks of all ranks without their idle slots. The paper then reorders warm-up and cool-down without raising the
// peak: here whatever of filling idle time, with gradients that others wait for first in the end, and list scheduling
// under that peak ends first. Its peak counts the activations of every chunk as one, so that neither is done where
// chunks differ: an output layer's gradients are larger, and would wait. Nor do they know of a delay.
template <class Block>
Schedule squeezed(const ScheduleShape& shape, const ScheduleCosts& costs, const Block& block) {
  Schedule best = by_rank(shape, StageLayout::wave,
                          [&](std::int64_t rank) { return repeat(block(rank), shape.micro_batches, shape.delay); });
  const ScheduleTiming timing = timing_of(best, costs);
  double least = timing.makespan;
  const double peak = *std::max_element(timing.peak.begin(), timing.peak.end());
  const auto offer = [&](Schedule candidate) {
    const ScheduleTiming other = timing_of(candidate, costs);
    if (other.makespan >= least || *std::max_element(other.peak.begin(), other.peak.end()) > peak + 1e-9) return;
    least = other.makespan;
    best = std::move(candidate);
  };
  const bool reorders = shape.delay == 0 && are_even(costs);
  offer(with_idle_filled(best, costs, 0, reorders ? CoolDown::gradients_first : CoolDown::in_order));
  if (!reorders || is_large(shape)) return best;  // list scheduling wins with few micro-batches alone
  GreedyRules rules;
  rules.memory_limit = peak;
  for (const Preference preference : {Preference::backward, Preference::alternate}) {
    rules.preference = preference;
    if (auto schedule = greedy_schedule(shape, StageLayout::wave, costs, rules)) offer(std::move(*schedule));
  }
  return best;
}

}  // namespace

// A third of 1F1B's activations.
Schedule v_min(const ScheduleShape& shape, const ScheduleCosts& costs) {
  const std::int64_t p = shape.ranks;
  const std::int64_t gap = p % 3 == 0 ? 2 : 0;
  return squeezed(shape, costs, [&](std::int64_t i) -> BuildingBlock {
    return {i, 2 * p - i - 1, 2 * p + gap + i, 4 * p + gap - i - 1};
  });
}

// Half of them.
Schedule v_half(const ScheduleShape& shape, const ScheduleCosts& costs) {
  const std::int64_t p = shape.ranks;
  const std::int64_t gap = p % 2 == 0 ? 3 : 0;
  return squeezed(shape, costs, [&](std::int64_t i) -> BuildingBlock {
    return {2 * i, 3 * p - i - 2, 3 * p + gap + 2 * i - 1, 6 * p + gap - i - 2};
  });
}

}  // namespace echelon
