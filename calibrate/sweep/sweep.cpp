#include "calibrate/sweep/sweep.h"

#include <algorithm>
#include <chrono>

namespace echelon {

const Benchmark* next_of(const std::vector<Benchmark>& plan, const SampleJournal& journal) {
  const auto next =
      std::find_if(plan.begin(), plan.end(), [&](const Benchmark& benchmark) { return !journal.has(benchmark); });
  return next == plan.end() ? nullptr : &*next;
}

void take_over(const std::vector<Benchmark>& plan, SampleJournal& journal, const Death& death) {
  const Benchmark* const next = next_of(plan, journal);
  const bool told = death.of.empty() || journal.ended_in_loss();
  if (!told && next != nullptr && !(death.on_other_node && next->ranks_per_node == 0))
    journal.append(summarise(*next, {Outcome::lost, {}, {}, death.of}));
  journal.mark_process();
}

SweepResult sweep(DeviceLayer& device, const std::vector<Benchmark>& plan, const Effort& effort, Seconds budget,
                  SampleJournal& journal, const std::function<void(const SweepProgress&)>& progress) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  SweepResult result;
  for (const Benchmark& benchmark : plan) result.had += journal.has(benchmark) ? 1 : 0;
  result.left = plan.size() - result.had;
  for (const Benchmark& benchmark : plan) {
    if (journal.has(benchmark)) continue;
    const Seconds elapsed(std::chrono::duration<double>(Clock::now() - start).count());
    if (elapsed >= budget || result.device_lost) break;
    const Sample sample = summarise(benchmark, device.measure(benchmark, effort));
    journal.append(sample);
    ++result.measured;
    --result.left;
    result.device_lost = sample.outcome == Outcome::lost;
    if (!progress) continue;
    const Seconds pace =
        Seconds(std::chrono::duration<double>(Clock::now() - start).count()) / static_cast<double>(result.measured);
    const Seconds needed = pace * static_cast<double>(result.left);
    progress({plan.size() - result.left, plan.size(), elapsed, std::min(needed, budget - elapsed), &sample});
  }
  return result;
}

}  // namespace echelon
