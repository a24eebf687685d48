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

TEST_CASE("fragments divide a round's exchange, and their sum is the round") {
  const Result whole = result_of(scenario(4));
  for (const char* const pattern : {"strided", "sequential"}) {
    const Result result = result_of(
        scenario(4, {"strategy.synchronize_fragments=4", std::string("strategy.fragment_pattern=") + pattern}));
    const LocalRound& round = *result.round;
    CHECK(round.between == whole.round->between);
    CHECK(round.sent.value() == Approx(whole.round->sent.value()));
    CHECK(round.largest < whole.round->largest);
    CHECK(result.iteration.value() == Approx((6 * round.between.value() + 4 * round.closing.value()) / 10));
    CHECK(result.breakdown.total().value() == Approx(result.iteration.value()).epsilon(1e-9));
    // The same bytes in four calls, which reach a little less of the links' rate.
    CHECK(round.exposed >= whole.round->exposed);
    CHECK(round.exposed.value() == Approx(whole.round->exposed.value()).epsilon(0.1));
  }
}

TEST_CASE("what a group sends is what its ranks' all-reduces send") {
  const Scenario one = scenario(4);
  const LocalRound round = *result_of(one).round;
  // 16 ranks a group, each a ring of four: 2 * 3/4 of its vector. Norms, positions and biases are whole on every rank.
  const double delta = element_size(one.workload.precision.gradient_reduce).value();
  CHECK(round.sent.value() == Approx(16 * 1.5 * delta * parameter_count(one.model) / 4).epsilon(0.05));
  CHECK(round.sent == round.largest);
  CHECK(round.peak_rate().value() == Approx(round.largest.value() / round.exchange.value()));
  CHECK_FALSE(round.hiding_rate());
}

TEST_CASE("delay hides what fits in it, and the rest is exposed data-parallel time") {
  const std::vector<std::string> keys = {"strategy.synchronize_fragments=2"};
  const Result waits = result_of(scenario(4, keys));
  for (const std::int64_t delay : {1, 2, 4}) {
    std::vector<std::string> delayed = keys;
    delayed.push_back("strategy.synchronize_delay=" + std::to_string(delay));
    const Result result = result_of(scenario(4, delayed));
    const LocalRound& round = *result.round;
    const double window = static_cast<double>(delay) * round.between.value();
    CHECK(round.window->value() == Approx(window));
    CHECK(round.hiding_rate()->value() == Approx(round.largest.value() / window));
    CHECK(round.exchange.value() == Approx(waits.round->exchange.value()));
    // The first fragment has the embedding, too.
    CHECK(round.exposed.value() >= std::max(0.0, round.exchange.value() - window) - 1e-9);
    CHECK(round.exposed.value() <= 2 * std::max(0.0, round.exchange.value() - window) + 1e-9);
    CHECK(result.breakdown.total().value() == Approx(result.iteration.value()).epsilon(1e-9));
    CHECK(result.iteration < waits.iteration);
  }
  // Where fragments wait for each other's links, those set how fast they must be.
  const LocalRound round = *result_of(scenario(4, {keys[0], "strategy.synchronize_delay=9"})).round;
  CHECK(round.hiding_rate()->value() == Approx(round.sent.value() / (10 * round.between.value())));
}

TEST_CASE("four bits take an eighth of the time of 32 on a slow link") {
  const std::string slow = "cluster.topology={network: {sites: 2, site_gb_s: 1, site_latency_us: 100}}";
  const auto exchange = [&](const char* format) {
    return result_of(scenario(2, {"cluster.network=flow", slow, std::string("strategy.outer_gradients=") + format}))
        .round->exchange.value();
  };
  CHECK(exchange("e3m0") == Approx(exchange("fp32") / 8).epsilon(0.02));
  CHECK(exchange("bf16") == Approx(exchange("fp32") / 2).epsilon(0.02));
}

TEST_CASE("every category of a peak counts towards it, whatever the peak is of") {
  for (const char* const kind : {"allocated", "reserved", "device"}) {
    const Result result =
        result_of(scenario(4, {"strategy.synchronize_delay=2", std::string("strategy.peak_memory=") + kind}));
    Bytes sum;
    for (const Bytes part : result.memory.by_category) sum += part;
    CHECK(sum.value() == Approx(result.memory.peak.value()));
  }
}

TEST_CASE("outer states on the host cost a round their copies, and nothing between") {
  const Result stays = result_of(scenario(4));
  const Scenario apart = scenario(4, {"strategy.offload={outer: host}"});
  const Result result = result_of(apart);
  CHECK(result.round->between == stays.round->between);
  // Momentum and anchor of the rank's parameters, up and down one after the other, at the rate of the link to the host.
  const double kept = 8 * parameter_count(apart.model) / 4;
  const double longer = result.round->closing.value() - stays.round->closing.value();
  CHECK(longer == Approx(2 * kept / apart.profile.host.link.value()).epsilon(0.05));
  CHECK(result.breakdown.offload.value() == Approx(longer / 10).epsilon(0.01));
  CHECK(result.breakdown.total().value() == Approx(result.iteration.value()).epsilon(1e-9));
  CHECK(result.memory.host.value() - stays.memory.host.value() == Approx(8 * kept).epsilon(0.05));  // 8 ranks a node
  CHECK(result.memory.peak < stays.memory.peak);
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
