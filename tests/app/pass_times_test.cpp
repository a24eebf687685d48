// What schedules that plan by times are given.
#include "sim/app/automatic.h"
#include "sim/app/block_times.h"
#include "sim/config/profile_config.h"
#include "sim/model/transformer.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

// The 6.2B model of arXiv:2401.10241, table 3, on 8 A100: unfused attention, dropout, three sequences of 1024.
Scenario zero_bubble_6b(ScheduleKind schedule) {
  TransformerSpec spec;
  spec.layers = 30;
  spec.hidden = 4096;
  spec.heads = 32;
  spec.vocabulary = 50304;
  Scenario scenario;
  scenario.model = build_transformer(spec);
  scenario.profile = load_profile(ECHELON_SOURCE_DIR "/hardware_profiles/dgx-a100-80g.yaml");
  scenario.gpus = 8;
  scenario.workload.sequence_length = 1024;
  scenario.workload.global_batch = 72;
  scenario.workload.precision.gradient = DataType::bf16;
  scenario.strategy = framework_defaults(FrameworkKind::megatron);
  scenario.strategy.mesh.pipeline = 8;
  scenario.strategy.micro_batch = 3;
  scenario.strategy.schedule = schedule;
  scenario.strategy.attention = AttentionKernel::unfused;
  scenario.strategy.dropout = true;
  scenario.strategy.first_stage_layers = scenario.strategy.last_stage_layers = 3;
  return scenario;
}

}  // namespace

TEST_CASE("passes of a layer are predicted one by one") {
  const Scenario scenario = zero_bubble_6b(ScheduleKind::zb_1p);
  const auto outcome = pass_times(scenario);
  REQUIRE(std::holds_alternative<PlannedTimes>(outcome));
  const auto& times = std::get<PlannedTimes>(outcome);
  REQUIRE(times.blocks.size() == scenario.model.blocks.size());
  const StageCost& layer = times.blocks[static_cast<std::size_t>(scenario.model.layers.front())];
  // Table 9 has 29.7, 29.4 and 19.9 ms for a stage of four layers, and 0.53 ms for a message.
  CHECK(layer.input > layer.weight);
  CHECK(layer.input == Approx(0.0294 / 4).epsilon(0.15));
  CHECK(layer.weight == Approx(0.0199 / 4).epsilon(0.05));  // fused accumulation adds nothing to the product
  CHECK(times.message > 0);
}

TEST_CASE("passes of four models as their authors profiled them") {
  // arXiv:2401.10241, table 9: T_F, T_B and T_W in ms of a stage in the middle, of 24, 24, 48 and 96 micro-batches.
  struct Profiled {
    std::int64_t hidden, heads, micro_batch, layers;
    double forward, input, weight;
  };
  for (const Profiled& model :
       {Profiled{2304, 24, 6, 3, 18.522, 18.086, 9.337}, Profiled{4096, 32, 3, 4, 29.718, 29.444, 19.927},
        Profiled{5120, 40, 1, 3, 11.347, 11.248, 8.132}, Profiled{6144, 48, 1, 2, 10.419, 10.207, 7.715}}) {
    INFO("hidden " << model.hidden);
    Scenario scenario = zero_bubble_6b(ScheduleKind::zb_1p);
    TransformerSpec spec;
    spec.layers = 30;
    spec.hidden = model.hidden;
    spec.heads = model.heads;
    spec.vocabulary = 50304;
    scenario.model = build_transformer(spec);
    scenario.strategy.micro_batch = model.micro_batch;
    scenario.strategy.fused_activation = false;
    const auto times = std::get<PlannedTimes>(pass_times(scenario));
    const StageCost& layer = times.blocks[static_cast<std::size_t>(scenario.model.layers.front())];
    const double layers = static_cast<double>(model.layers);
    const double fetching = 0.64e-3;  // every forward pass there begins with it (sim/app/host_cost.cpp)
    CHECK(layers * layer.forward + fetching == Approx(model.forward * 1e-3).epsilon(0.06));
    CHECK(layers * (layer.input + layer.weight) == Approx((model.input + model.weight) * 1e-3).epsilon(0.06));
  }
}

TEST_CASE("planning schedules are given predicted times, others are left alone") {
  CHECK(leaves_open(zero_bubble_6b(ScheduleKind::zb_2p).strategy));
  CHECK(leaves_open(zero_bubble_6b(ScheduleKind::searched).strategy));
  CHECK_FALSE(leaves_open(zero_bubble_6b(ScheduleKind::zb_h1).strategy));
  const auto decided = decide(zero_bubble_6b(ScheduleKind::zb_2p));
  REQUIRE(std::holds_alternative<Decided>(decided));
  const Strategy& strategy = std::get<Decided>(decided).scenario.strategy;
  CHECK_FALSE(leaves_open(strategy));
  REQUIRE(strategy.planned_times);
  CHECK_FALSE(strategy.planned_times->blocks.empty());
}
