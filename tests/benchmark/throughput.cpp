// How fast the program predicts: whole strategies, events of the engine, every rank on its own, and scenario files.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "sim/app/simulate.h"
#include "sim/config/scenario.h"
#include "sim/engine/full_replay.h"
#include "sim/model/transformer.h"
#include "strategies/lower.h"
#include "strategies/mesh.h"

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
  if (schedule == "interleaved" || schedule == "interleaved_zb") overrides.emplace_back("strategy.virtual_stages=3");
  for (const char* two_chunks : {"zb_v", "v_half", "v_min", "dualpipe", "dualpipe_v", "chimera", "hanayo"})
    if (schedule == two_chunks) overrides.emplace_back("strategy.virtual_stages=2");
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
// All 192 micro-batches are replayed of these.
BENCHMARK_CAPTURE(evaluate, gpipe, "gpipe")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(evaluate, interleaved_zb, "interleaved_zb")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(evaluate, dualpipe, "dualpipe")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(evaluate, hanayo, "hanayo")->Unit(benchmark::kMicrosecond);
// These plan their order first.
BENCHMARK_CAPTURE(evaluate, zb_h1, "zb_h1")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(evaluate, zb_v, "zb_v")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(evaluate, v_half, "v_half")->Unit(benchmark::kMicrosecond);

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

// Llama 3.1 405B, 8 x 16 x data ranks and 16 micro-batches: every rank on its own. A stage's pass of a micro-batch is
// one task with zero1, each of its layers with zero3.
Lowering llama(std::int64_t data, Sharding sharding) {
  TransformerSpec spec;
  spec.layers = 126;
  spec.hidden = 16384;
  spec.heads = 128;
  spec.kv_heads = 8;
  spec.ffn = 53248;
  spec.gated = true;
  spec.vocabulary = 128256;
  Workload workload;
  workload.sequence_length = 8192;
  workload.global_batch = data * 16;
  Strategy strategy = framework_defaults(FrameworkKind::megatron);
  strategy.mesh.tensor = 8;
  strategy.mesh.pipeline = 16;
  strategy.mesh.data = data;
  strategy.first_stage_layers = strategy.last_stage_layers = 7;
  strategy.sequence_parallel = true;
  strategy.overlap_gradient_reduce = strategy.overlap_parameter_gather = true;
  strategy.sharding = sharding;
  return std::get<Lowering>(lower(build_transformer(spec), workload, strategy, {strategy.mesh.ranks(), 8}));
}

// Arguments: ranks, and whether kernels and links jitter.
void full_replay(benchmark::State& state, Sharding sharding) {
  const std::int64_t data = state.range(0) / 128;
  const Lowering lowering = llama(data, sharding);
  const std::vector<WorkTime> times(lowering.works.size(), {Time::from_seconds(microseconds(1000)), Time()});
  const std::vector<WorkParts> parts(times.size(), {times[0].device, times[0].device});
  const ReplayOptions options{1.2};
  RankVariation variation;
  if (state.range(1) != 0) variation.variability.compute_cv = variation.variability.link_cv = 0.05;
  double tasks = 0;
  for (const Program& program : lowering.graph.programs)
    tasks += static_cast<double>(program.tasks.size()) * static_cast<double>(8 * data);
  for (auto _ : state) {
    const auto plan = std::get<ReplayPlan>(plan_replay(lowering.graph, options));
    const FullReplay replay(lowering.graph, plan, times, parts, {8, 1, data, 1}, options);
    benchmark::DoNotOptimize(replay.run(variation, 0));
  }
  state.counters["tasks"] = tasks;
  state.counters["tasks_per_second"] =
      benchmark::Counter(tasks * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK_CAPTURE(full_replay, by_stage, Sharding::zero1)
    ->ArgsProduct({{1024, 4096, 16384, 65536, 131072}, {0, 1}})
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(full_replay, by_layer, Sharding::zero3)
    ->ArgsProduct({{1024, 4096, 16384, 65536, 131072}, {0, 1}})
    ->Unit(benchmark::kMillisecond);

void read_scenario(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(gpt3("1f1b"));
}
BENCHMARK(read_scenario)->Unit(benchmark::kMicrosecond);

}  // namespace

}  // namespace echelon

int main(int argc, char** argv) {
#ifdef __GLIBC__
  // As the program does (sim/cli/main.cpp).
  mallopt(M_MMAP_THRESHOLD, 1 << 25);
  mallopt(M_TRIM_THRESHOLD, 1 << 28);
#endif
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
