// Scenarios whose ranks differ, from document to result.
#include "sim/app/simulate.h"
#include "tests/app/scenario_text.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

// GPT of 8 layers on 64 A100: dp 4, tp 2, pp 4, cp 2.
Scenario scenario(const std::vector<std::string>& overrides) {
  const std::string text =
      "echelon: 1\n"
      "model: {layers: 8, hidden: 2048, heads: 16, vocabulary: 50304}\n"
      "cluster: {profile: dgx-a100-80g, nodes: 8}\n"
      "workload: {sequence_length: 2048, global_batch: 32, precision: bf16}\n"
      "strategy: {framework: megatron, data_parallel: 4, tensor_parallel: 2, pipeline_parallel: 4, context_parallel: 2,"
      " micro_batch: 1, sequence_parallel: true, sharding: zero1, overlap_gradient_reduce: true}\n";
  return testing::scenario_from_text(text, overrides);
}

Result result_of(const Scenario& of, const ReplayChoice& choice) {
  return std::get<Result>(simulate(of, Detail::totals, choice));
}

}  // namespace

TEST_CASE("full replay of ranks that are alike changes nothing") {
  const Result folded = result_of(scenario({}), {});
  const Result full = result_of(scenario({}), {ReplayKind::full, 1});
  CHECK(!folded.ranks);
  REQUIRE(full.ranks);
  CHECK(full.iteration == folded.iteration);
  CHECK(full.ranks->alike == folded.iteration);
  CHECK(full.ranks->ranks == 64);
  CHECK(!full.ranks->pace);
  CHECK(full.breakdown.stragglers == Seconds(0));
}

TEST_CASE("a slow rank is named by its global rank, in any order of the mesh") {
  for (const char* order : {"[tp, cp, ep, dp, pp]", "[tp, pp, cp, ep, dp]"})
    for (const std::int64_t rank : {0, 13, 37, 63}) {
      const Scenario slow = scenario({std::string("strategy.mesh_order=") + order,
                                      "faults=[{rank: " + std::to_string(rank) + ", compute_factor: 2}]"});
      const Result result = result_of(slow, {ReplayKind::full, 1});
      REQUIRE(result.ranks->pace);
      CHECK(result.ranks->pace->place.rank == rank);
      CHECK(result.ranks->pace->place.tensor == rank % 2);
      CHECK(result.ranks->pace->runs == 1);
      CHECK(result.iteration > result.ranks->alike);
      CHECK(result.breakdown.total().value() == Approx(result.iteration.value()));
    }
}

TEST_CASE("a degraded NIC slows what leaves the node") {
  const Result slow = result_of(scenario({"faults=[{rank: 20, link_factor: 50}]"}), {ReplayKind::full, 1});
  CHECK(slow.iteration > slow.ranks->alike);
  CHECK(slow.ranks->pace->place.rank == 20);
  const std::vector<std::string> one_node = {"cluster.nodes=1", "strategy.data_parallel=1",
                                             "strategy.pipeline_parallel=4", "strategy.context_parallel=1",
                                             "faults=[{rank: 5, link_factor: 50}]"};
  const Result inside = result_of(scenario(one_node), {ReplayKind::full, 1});
  CHECK(inside.iteration == inside.ranks->alike);
}

TEST_CASE("runs spread, and any number of threads gives the same") {
  const Scenario jittered = scenario({"variability={compute_cv: 0.05, link_cv: 0.2, runs: 25}"});
  const Result one = result_of(jittered, {ReplayKind::full, 1});
  CHECK(one.ranks->p5 < one.ranks->p50);
  CHECK(one.ranks->p50 < one.ranks->p95);
  CHECK(one.iteration == one.ranks->p50);
  for (const int threads : {2, 3, 40}) {
    const Result many = result_of(jittered, {ReplayKind::full, threads});
    CHECK(many.ranks->p5 == one.ranks->p5);
    CHECK(many.ranks->p95 == one.ranks->p95);
    CHECK(many.ranks->mean_idle == one.ranks->mean_idle);
    CHECK(many.ranks->pace->place.rank == one.ranks->pace->place.rank);
    CHECK(many.ranks->pace->delay == one.ranks->pace->delay);
  }
}

TEST_CASE("folded replay says that it leaves differences out") {
  const Result folded = result_of(scenario({"faults=[{rank: 1, compute_factor: 2}]"}), {});
  CHECK(folded.warnings.back().find("variability and faults are left out") == 0);
  CHECK(folded.iteration == result_of(scenario({}), {}).iteration);
}
