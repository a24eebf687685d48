#include "sim/app/sensitivity.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "sim/app/simulate.h"
#include "sim/app/whole_run.h"
#include "sim/metrics/limit_check.h"
#include "sim/report/sensitivity_output.h"
#include "tests/app/scenario_text.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

// A model of 8 layers under the strategy.
Scenario scenario_of(const std::string& cluster, const std::string& strategy) {
  const std::string text =
      "echelon: 1\nmodel: {layers: 8, hidden: 4096, heads: 32, vocabulary: 32000}\ncluster: " + cluster +
      "\nworkload: {sequence_length: 2048, global_batch: 64}\nstrategy: " + strategy;
  return testing::scenario_from_text(text);
}

double elasticity(const std::vector<Sensitivity>& all, const std::string& name) {
  for (const Sensitivity& entry : all)
    if (entry.name == name) return entry.elasticity;
  throw std::logic_error("no such number: " + name);
}

std::vector<Sensitivity> of(const Scenario& scenario) {
  return std::get<Sensitivities>(sensitivities(scenario)).time;
}

}  // namespace

TEST_CASE("links do not matter to one GPU, nor a network to one node") {
  const auto alone = of(scenario_of("{profile: dgx-h100, gpus: 1}", "{micro_batch: 2, recompute: full}"));
  for (const char* name : {"nvlink", "nic", "link_latency", "network_latency", "hbm_capacity"})
    CHECK(elasticity(alone, name) == 0);
  const auto node = of(scenario_of("{profile: dgx-h100, nodes: 1}", "{tensor_parallel: 8, micro_batch: 8}"));
  CHECK(elasticity(node, "nvlink") < -0.01);
  CHECK(elasticity(node, "nic") == 0);
  CHECK(elasticity(node, "network_latency") == 0);
}

TEST_CASE("faster hardware never slows down, shorter latencies neither") {
  const auto all = of(scenario_of("{profile: dgx-a100-80g, nodes: 4}", "{tensor_parallel: 4, pipeline_parallel: 2}"));
  double rates = 0;
  for (const char* name : {"peak", "hbm_bandwidth", "nvlink", "nic"}) {
    CHECK(elasticity(all, name) <= 0);
    CHECK(elasticity(all, name) >= -1);
    rates += elasticity(all, name);
  }
  CHECK(elasticity(all, "link_latency") >= 0);
  CHECK(elasticity(all, "network_latency") >= 0);
  // Time is a sum of parts, each of which is work over a rate, or fixed: with all rates f times as high it falls at
  // most f-fold, so the elasticities of the rates sum to -1 at least, and to nearly that where little is fixed.
  CHECK(rates >= -1.001);
  CHECK(rates <= -0.8);
}

TEST_CASE("memory matters where the strategy may use it") {
  const Scenario scenario =
      scenario_of("{profile: dgx-a100-40g, nodes: 1}", "{tensor_parallel: 2, recompute: auto, micro_batch: 16}");
  const auto all = of(scenario);
  for (const Sensitivity& entry : all)
    if (entry.name == "hbm_capacity") CHECK(entry.at_less > entry.as_is);
}

TEST_CASE("less memory than a strategy takes is told, and is no time") {
  Scenario scenario = scenario_of("{profile: dgx-a100-40g, nodes: 1}", "{tensor_parallel: 2, micro_batch: 4}");
  const auto outcome = simulate(scenario);
  const MemoryResult& memory = std::get<Result>(outcome).memory;
  REQUIRE(memory.fits);
  Bytes fullest;
  for (const StageMemory& stage : memory.per_stage) fullest = std::max(fullest, stage.device);
  scenario.profile.device.memory *= 1.1 * (fullest / memory.capacity);  // a tenth more than it takes: 0.8 are too few
  const auto all = std::get<Sensitivities>(sensitivities(scenario));
  for (const auto* chart : {&all.time, &all.money})
    for (const Sensitivity& entry : *chart) {
      CHECK(std::isnan(entry.at_less) == (entry.name == "hbm_capacity"));
      CHECK(std::isfinite(entry.elasticity));
    }
  CHECK(sensitivities_to_text(all, false).find("   no room") != std::string::npos);
  CHECK(time_sensitivities_to_json(all).dump().find("\"hbm_capacity\",\"elasticity\":0.0,\"time_at_0.8_s\":null") !=
        std::string::npos);
}

TEST_CASE("money hangs on the rent in full, and on the hardware as the time does") {
  const Scenario scenario = scenario_of("{profile: dgx-a100-80g, nodes: 4}", "{tensor_parallel: 4}");
  const auto all = std::get<Sensitivities>(sensitivities(scenario));
  CHECK(all.tokens == 1e9);
  REQUIRE(all.money.size() == all.time.size() + 1);
  CHECK(elasticity(all.money, "usd_per_gpu_hour") == Approx(1));
  for (const Sensitivity& entry : all.time)
    CHECK(elasticity(all.money, entry.name) == Approx(entry.elasticity).margin(1e-9));
}

TEST_CASE("bought hardware and its electricity share the money of a run") {
  // 30,000 USD with 20 % for the network over 4 years of 8766 hours: 1.0267 USD an hour. 1 kW at 1.2 times its power
  // and 0.1 USD: 0.12 USD. So the price has 0.8953 of the money and electricity 0.1047, of which 0.2 / 1.2 is overhead.
  Scenario scenario = scenario_of("{profile: dgx-a100-80g, nodes: 1}", "{tensor_parallel: 4}");
  TrainingRun run;
  run.tokens = 1e12;
  run.usd_per_gpu = 30000;
  run.network_share = 0.2;
  run.years = 4;
  run.usd_per_kwh = 0.1;
  run.pue = 1.2;
  run.watts_per_gpu = Watts(1000);
  scenario.training_run = run;
  const auto money = std::get<Sensitivities>(sensitivities(scenario)).money;
  const double price = 36000 / (4 * 8766.0);
  const double share = price / (price + 0.12);
  CHECK(elasticity(money, "usd_per_gpu") == Approx(share).epsilon(1e-3));
  CHECK(elasticity(money, "network_share") == Approx(share / 6).epsilon(1e-3));
  CHECK(elasticity(money, "years") == Approx(-share).epsilon(1e-3));
  CHECK(elasticity(money, "usd_per_kwh") == Approx(1 - share).epsilon(1e-3));
  CHECK(elasticity(money, "pue - 1") == Approx((1 - share) / 6).epsilon(1e-3));
  for (const Sensitivity& entry : money) CHECK(entry.name != "usd_per_gpu_hour");
}

TEST_CASE("money hangs on failures however they are given") {
  Scenario scenario = scenario_of("{profile: dgx-a100-80g, nodes: 1}", "{tensor_parallel: 4}");
  TrainingRun run;
  run.tokens = 1e12;
  run.checkpoint_blocking = Seconds(600);
  run.failures_per_1000_node_days = 500;
  scenario.training_run = run;
  const double by_rate = elasticity(std::get<Sensitivities>(sensitivities(scenario)).money, "failures");
  CHECK(by_rate > 0);
  run.failures_per_1000_node_days = 0;
  run.failures = {{"GPU", FailureScope::gpu, 300 / 8.0}, {"node", FailureScope::node, 200}};  // on 8 GPUs
  scenario.training_run = run;
  const double by_cause = elasticity(std::get<Sensitivities>(sensitivities(scenario)).money, "failures");
  CHECK(by_cause == Approx(by_rate));
}

TEST_CASE("a tornado has its widest bar first, and the numbers beside it") {
  const Sensitivities all = {
      {{"peak", "rate", -0.75, 10, 12, 8.4}, {"latency", "of messages", 0.1, 10, 9.8, 10.25}}, {}, 1e9};
  const std::string text = sensitivities_to_text(all, false);
  // 2 s of 10 s, the largest change, fill the 24 cells of a half; 1.6 s take 19.2 of them.
  std::string expected = "  peak                 -0.750   +20.0 %   -16.0 %       ";
  for (int i = 0; i < 19; ++i) expected += "█";
  expected += "│";
  for (int i = 0; i < 24; ++i) expected += "█";
  CAPTURE(text);
  CHECK(text.find(expected + "  rate\n") != std::string::npos);
  CHECK(time_sensitivities_to_json(all)[0]["elasticity"] == -0.75);
}

TEST_CASE("a token costs in a step what it costs in the run, rented or bought") {
  Scenario scenario = scenario_of("{profile: dgx-a100-80g, nodes: 1}", "{tensor_parallel: 4}");
  TrainingRun run;
  run.tokens = 1e12;
  const auto check = [&] {
    scenario.training_run = run;
    const Result result = std::get<Result>(simulate(scenario));
    CHECK(*result.cost_usd / result.tokens * run.tokens == Approx(*money_of(*whole_run(scenario, result))));
  };
  check();
  run.usd_per_gpu_hour = 1;
  check();
  run.usd_per_gpu = 30000;
  run.years = 4;
  run.usd_per_kwh = 0.1;
  check();
}
