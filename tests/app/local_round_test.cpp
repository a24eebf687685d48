// Groups that train apart, from document to result.
#include "sim/app/bound.h"
#include "sim/app/simulate.h"
#include "sim/cost/collective.h"
#include "tests/app/scenario_text.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

// GPT of 8 layers: groups of 16 GPUs, dp 4 and tp 4, on nodes of 8.
Scenario scenario(std::int64_t groups, const std::vector<std::string>& more = {}) {
  const auto number = [](std::int64_t value) { return std::to_string(value); };
  const std::string text =
      "echelon: 1\n"
      "model: {layers: 8, hidden: 2048, heads: 16, vocabulary: 50304}\n"
      "cluster: {profile: dgx-a100-80g, nodes: " +
      number(2 * groups) +
      "}\n"
      "workload: {sequence_length: 2048, global_batch: " +
      number(16 * groups) +
      ", precision: bf16}\n"
      "strategy: {framework: megatron, data_parallel: " +
      number(4 * groups) +
      ", tensor_parallel: 4, micro_batch: 1,"
      " overlap_gradient_reduce: true, local_groups: " +
      number(groups) + ", synchronize_every: " + (groups > 1 ? "10" : "1") + "}\n";
  return testing::scenario_from_text(text, more);
}

Result result_of(const Scenario& of) {
  return std::get<Result>(simulate(of));
}

}  // namespace

TEST_CASE("between synchronisations each group is a cluster of its own") {
  for (const char* const sharding : {"none", "zero1", "zero3", "hybrid"}) {
    const std::string key = std::string("strategy.sharding=") + sharding;
    const Result together = result_of(scenario(4, {key}));
    const Result alone = result_of(scenario(1, {key}));
    REQUIRE(together.round);
    CHECK_FALSE(alone.round);
    CHECK(together.round->between == alone.iteration);
  }
}

TEST_CASE("the mean of a round weighs the iteration that synchronises once") {
  for (const int steps : {1, 2, 10, 500}) {
    const Result result = result_of(scenario(4, {"strategy.synchronize_every=" + std::to_string(steps)}));
    const LocalRound& round = *result.round;
    CHECK(round.closing > round.between);
    CHECK(result.iteration.value() ==
          Approx(((steps - 1) * round.between.value() + round.closing.value()) / steps).epsilon(1e-12));
    CHECK(result.breakdown.total().value() == Approx(result.iteration.value()).epsilon(1e-9));
  }
}

TEST_CASE("a synchronisation takes its all-reduce and the outer step's memory traffic") {
  const Scenario whole = scenario(4);
  const Result result = result_of(whole);
  // Of 4 tensor ranks; norms, positions and biases are whole everywhere: a rank has a little more than a quarter.
  const double elements = parameter_count(whole.model) / 4;
  const double delta = element_size(whole.workload.precision.gradient_reduce).value();
  const CollectiveCall call{CollectiveKind::all_reduce, {4, 1}, Bytes(delta * elements)};
  const double reduced = collective_time(whole.profile.network, call).time.value();
  // Two fp32 values read for a delta that is written; it is read, momentum and anchor are read and written, the fp32
  // and the bf16 parameter written.
  const double moved = (8 + 2 * delta + 16 + 4 + 2) * elements / whole.profile.device.memory_bandwidth.value();
  const double taken = result.round->closing.value() - result.round->between.value();
  CHECK(taken > reduced + moved);
  CHECK(taken < 1.25 * (reduced + moved));
  // Averaging moves less, and keeps nothing.
  const Result average = result_of(scenario(4, {"strategy.outer_optimizer=average"}));
  CHECK(average.round->closing < result.round->closing);
  CHECK(result.memory.peak.value() - average.memory.peak.value() == Approx(8 * elements).epsilon(0.05));
}

TEST_CASE("rare synchronisation beats one at every step where the groups' link is slow") {
  const std::vector<std::string> slow = {"strategy.sharding=none", "strategy.overlap_gradient_reduce=false"};
  Scenario apart = scenario(4, slow);
  Scenario together = scenario(4, slow);
  together.strategy.mesh.local_groups = 1;
  together.strategy.local_steps.every = 1;
  CHECK(result_of(apart).iteration < result_of(together).iteration);
}

TEST_CASE("a bound on a round is below its mean") {
  const Scenario whole = scenario(4);
  CHECK(std::get<Result>(bound(whole)).iteration <= result_of(whole).iteration);
}

TEST_CASE("ranks on their own know no groups") {
  const auto outcome = simulate(scenario(4), Detail::totals, {ReplayKind::full, 1});
  REQUIRE(std::holds_alternative<Infeasible>(outcome));
  CHECK(std::get<Infeasible>(outcome).reason.find("local_groups 1 or folded replay would do") != std::string::npos);
}

TEST_CASE("all that synchronise over two data centres share the link between them") {
  for (const double rate : {10.0, 40.0}) {
    const std::string topology =
        "cluster.topology={network: {sites: 2, site_gb_s: " + std::to_string(rate) + ", site_latency_us: 100}}";
    const Scenario whole = scenario(2, {"cluster.network=flow", topology});
    const LocalRound round = *result_of(whole).round;
    // 16 pairs at once, each a ring of two that sends its vector once each way.
    const double delta = element_size(whole.workload.precision.gradient_reduce).value();
    const double sent = 16 * delta * parameter_count(whole.model) / 4;
    CHECK(round.closing.value() - round.between.value() == Approx(sent / (rate * 1e9)).epsilon(0.1));
  }
}
