// How fast the program predicts: whole strategies, events of the engine, and scenario files.
#include <benchmark/benchmark.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "sim/app/simulate.h"
#include "sim/config/scenario.h"
#include "strategies/lower.h"

namespace echelon {

namespace {

Model no_huggingface(const Value&) {
  throw std::logic_error("the scenario gives the model's shape itself");
}

// GPT-3 175B on 1,024 A100 in folded replay: 8 x 16 x 8 with 192 micro-batches.
Scenario gpt3(const std::string& schedule) {
  const std::string file = ECHELON_SOURCE_DIR "/scenarios/published/megatron-sc21-175b.yaml";
  std::vector<std::string> overrides = {"cluster.gpus=1024", "strategy.data_parallel=8",
                                        "strategy.pipeline_parallel=16", "strategy.schedule=" + schedule};
  if (schedule == "interleaved") overrides.emplace_back("strategy.virtual_stages=3");
  return load_scenario(file, overrides, no_huggingface);
}

void evaluate(benchmark::State& state, const std::string& schedule) {
  const Scenario scenario = gpt3(schedule);
  for (auto _ : state) benchmark::DoNotOptimize(simulate(scenario));
  state.counters["strategies"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK_CAPTURE(evaluate, one_f_one_b, "1f1b")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(evaluate, interleaved, "interleaved")->Unit(benchmark::kMicrosecond);

// The engine alone: each task is an event that starts and one that ends.
void replay_events(benchmark::State& state) {
  const Scenario scenario = gpt3("1f1b");
  const auto lowered = lower(scenario.model, scenario.workload, scenario.strategy, {scenario.gpus, 8});
  const Lowering& lowering = std::get<Lowering>(lowered);
  const std::vector<WorkTime> times(lowering.works.size(),
                                    {Time::from_seconds(microseconds(1000)), Time::from_seconds(Seconds(0))});
  double tasks = 0;
  for (const Program& program : lowering.graph.programs) tasks += static_cast<double>(program.tasks.size());
  for (auto _ : state) benchmark::DoNotOptimize(replay(lowering.graph, times, {}));
  state.counters["events"] =
      benchmark::Counter(2 * tasks * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(replay_events)->Unit(benchmark::kMicrosecond);

void read_scenario(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(gpt3("1f1b"));
}
BENCHMARK(read_scenario)->Unit(benchmark::kMicrosecond);

}  // namespace

}  // namespace echelon

BENCHMARK_MAIN();
