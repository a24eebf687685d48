// Lower bounds against simulate(), on strategies drawn at random from every axis that has one.
#include "sim/app/quick_bound.h"

#include <map>
#include <random>

#include "sim/app/bound.h"
#include "sim/app/simulate.h"
#include "tests/catch.h"
#include "tests/search/spaces.h"

using namespace echelon;

namespace {

const std::string all_axes = R"(}
sweep:
  axes:
    workload.global_batch: [32, 64, 96, 256]
    strategy.tensor_parallel: [1, 2, 4]
    strategy.pipeline_parallel: [1, 2, 4, 8]
    strategy.context_parallel: [1, 2]
    strategy.schedule: [gpipe, 1f1b, interleaved, looped_bfs, zb_h1, zb_h2, zb_1p, zb_2p, interleaved_zb, zb_v, v_half,
                        v_min, dualpipe, dualpipe_v, chimera, hanayo, bpipe, pipedream, pipedream_2bw]
    strategy.virtual_stages: [1, 2, 3]
    strategy.micro_batch: [1, 2, 4]
    strategy.recompute: [none, selective, full]
    strategy.sequence_parallel: [false, true]
    strategy.sharding: [none, zero1, zero2, zero3, hybrid]
    strategy.overlap_gradient_reduce: [false, true]
    strategy.overlap_parameter_gather: [false, true]
    strategy.overlap_pipeline: [false, true]
    strategy.synchronous_pipeline: [false, true]
    strategy.optimizer_post_validation: [false, true]
    strategy.batch_fetch: [ahead, end_stages, every_stage]
)";

const std::string mixture = R"(echelon: 1
model: {layers: 16, hidden: 2048, heads: 16, kv_heads: 4, vocabulary: 51200, gated: true,
        moe: {experts: 32, top_k: 4, ffn: 1024}}
cluster: {profile: dgx-h100, gpus: 16}
workload: {sequence_length: 4096, global_batch: 64}
strategy: {data_parallel: auto, kernels: transformer_engine)";

const std::string mixture_axes = all_axes + R"(    strategy.expert_parallel: [1, 2, 4]
    strategy.overlap_expert: [false, true]
    strategy.expert_dispatch: [all_to_all, deduplicated]
    strategy.cuda_graphs: [none, iteration]
)";

const std::string offload_axes = all_axes + R"(    strategy.offload.optimizer: [none, host]
    strategy.offload.activation_layers: [0, 1, 2]
    strategy.stage_layers: [balanced]
)";

const std::string fabric = R"(echelon: 1
model: {layers: 8, hidden: 2048, heads: 16, vocabulary: 51200}
cluster: {profile: dgx-h100, gpus: 16, network: flow}
workload: {sequence_length: 2048, global_batch: 64}
strategy: {data_parallel: auto)";

struct Tally {
  std::map<std::string, int> points;    // by schedule
  std::map<std::string, double> share;  // sum of bound over time
  int all = 0;
  int unfit = 0;  // whose memory rules them out
  int told = 0;   // of those, by the quick bound
};

// One of the two.
struct Bound {
  const char* name;
  std::variant<Result, Infeasible> (*of)(const Scenario&);
};
constexpr Bound the_quick{"quick_bound", quick_bound};
constexpr Bound the_replayed{"bound", bound};

bool holds(const Result& low, const Result& result) {
  return low.iteration <= result.iteration && low.memory.peak <= result.memory.peak * (1 + 1e-9) &&
         low.energy <= result.energy && low.cost_usd.value_or(0) <= result.cost_usd.value_or(0) &&
         (low.memory.fits || !result.memory.fits);
}

void hold_bound(const Scenario& scenario, const std::variant<Result, Infeasible>& outcome, const Bound& which,
                Tally& tally) {
  const auto least = which.of(scenario);
  if (least.index() != outcome.index()) {
    CAPTURE(which.name, name_of(scenario.strategy.schedule), scenario.strategy.mesh.pipeline,
            scenario.strategy.mesh.tensor, scenario.strategy.mesh.context, scenario.strategy.mesh.expert,
            scenario.profile.name, scenario.workload.global_batch, scenario.strategy.offload.activation_layers,
            name_of(scenario.strategy.offload.optimizer), name_of(scenario.strategy.sharding),
            std::holds_alternative<Infeasible>(least) ? std::get<Infeasible>(least).reason
                                                      : std::get<Infeasible>(outcome).reason);
    CHECK(least.index() == outcome.index());
  }
  if (least.index() != outcome.index() || std::holds_alternative<Infeasible>(outcome)) return;
  const Result& low = std::get<Result>(least);
  const Result& result = std::get<Result>(outcome);
  const Strategy& strategy = scenario.strategy;
  if (!holds(low, result)) {
    CAPTURE(which.name, low.iteration.value(), result.iteration.value(), low.memory.peak.value(),
            result.memory.peak.value(), name_of(strategy.schedule), strategy.mesh.pipeline, strategy.mesh.tensor,
            strategy.mesh.context, strategy.mesh.expert, strategy.micro_batch, strategy.virtual_stages,
            name_of(strategy.sharding), scenario.profile.name, scenario.workload.global_batch,
            name_of(strategy.recompute), strategy.overlap_gradient_reduce, strategy.overlap_parameter_gather,
            strategy.overlap_pipeline, strategy.synchronous_pipeline, name_of(strategy.batch_fetch),
            strategy.offload.activation_layers);
    CHECK(holds(low, result));
  }
  ++tally.all;
  if (!result.memory.fits) ++tally.unfit;
  if (!low.memory.fits) ++tally.told;
  const std::string schedule{name_of(strategy.schedule)};
  ++tally.points[schedule];
  tally.share[schedule] += low.iteration / result.iteration;
}

// `draws` points of the space, each evaluated and bounded where it can be.
void hold_bounds(const std::string& text, int draws, Tally& quick, Tally& replayed) {
  PointEvaluator evaluator(test::space_document(text));
  evaluator.check_values();
  const Space& space = evaluator.space();
  const int before = quick.all;
  std::mt19937_64 random(1);
  for (int i = 0; i < draws; ++i) {
    const auto digits = space.digits(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(space.size())));
    const auto there = evaluator.scenario(digits);
    if (!std::holds_alternative<const Scenario*>(there)) continue;
    const Scenario& scenario = *std::get<const Scenario*>(there);
    if (std::holds_alternative<Infeasible>(quick_bound(scenario))) continue;
    const auto outcome = simulate(scenario);
    if (has_quick_bound(scenario.strategy)) hold_bound(scenario, outcome, the_quick, quick);
    if (has_bound(scenario)) hold_bound(scenario, outcome, the_replayed, replayed);
  }
  CHECK(quick.all > before + 50);
}

void report(const char* what, const Tally& tally) {
  std::string text =
      fmt::format("{}: {} points, {} do not fit, {} of them by their bound;", what, tally.all, tally.unfit, tally.told);
  for (const auto& [schedule, points] : tally.points)
    text += fmt::format(" {} {:.3f} ({})", schedule, tally.share.at(schedule) / points, points);
  WARN(text);
}

}  // namespace

TEST_CASE("no prediction is below its quick bound, whatever the schedule, sharding, overlap, experts or offload") {
  Tally quick;
  Tally replayed;
  for (const std::string& run : test::runs) hold_bounds(run + all_axes, 10000, quick, replayed);
  hold_bounds(mixture + mixture_axes, 20000, quick, replayed);
  hold_bounds(test::runs[1] + offload_axes, 20000, quick, replayed);
  report("quick bound", quick);
  report("bound", replayed);
  CHECK(quick.all > 5000);
  CHECK(replayed.all > 1000);
}

TEST_CASE("bounds hold where collectives and messages share links") {
  Tally quick;
  Tally replayed;
  hold_bounds(fabric + all_axes, 4000, quick, replayed);
  report("quick bound", quick);
  CHECK(quick.all > 50);
  CHECK(replayed.all == 0);
}
