#include "sim/app/network_traffic.h"

#include <algorithm>

#include "sim/app/simulate.h"
#include "sim/interop/hf_config.h"
#include "tests/catch.h"

namespace echelon {

namespace {

const std::string scenarios = std::string(ECHELON_SOURCE_DIR) + "/scenarios/";

Result result_of(const std::string& file, const std::vector<std::string>& overrides,
                 ReplayKind kind = ReplayKind::folded) {
  const Scenario scenario = load_scenario(
      scenarios + file, overrides, [](const Value& config) { return build_transformer(transformer_from_hf(config)); });
  return std::get<Result>(simulate(scenario, Detail::totals, {kind, 1}));
}

double iteration(const std::string& file, const std::vector<std::string>& overrides) {
  return result_of(file, overrides).iteration.value();
}

std::string error_of(const std::string& file, const std::vector<std::string>& overrides) {
  try {
    iteration(file, overrides);
  } catch (const InputError& error) {
    return error.problem();
  }
  return "";
}

const std::string many_nodes = "examples/llama3-70b-512-h100.yaml";
const std::string sharded = "published/llm-foundry-mpt-70b.yaml";
const std::string flow = "cluster.network=flow";

}  // namespace

TEST_CASE("packed ranks on a network of full bandwidth take what the analytic model says") {
  for (const std::string& file : {many_nodes, sharded, std::string("examples/llama3-8b-one-node.yaml")})
    CHECK(iteration(file, {flow}) == Approx(iteration(file, {})).epsilon(1e-3));
}

TEST_CASE("a narrower network takes longer, and the narrower the longer") {
  double last = iteration(sharded, {flow});
  for (const char* ratio : {"2", "4", "8"}) {
    const double time =
        iteration(sharded, {flow, std::string("cluster.topology={network: {family: fat_tree, nodes_per_leaf: 1, "
                                              "oversubscription: [") +
                                      ratio + "]}}"});
    CHECK(time > last);
    last = time;
  }
}

TEST_CASE("tensor-parallel groups that are scattered over nodes pay for it, sharded data does not") {
  CHECK(iteration(many_nodes, {flow, "cluster.placement=scattered"}) > 2 * iteration(many_nodes, {flow}));
  // All ranks are in one group: its rings go node by node wherever the ranks sit.
  CHECK(iteration(sharded, {flow, "cluster.placement=scattered"}) == Approx(iteration(sharded, {flow})).epsilon(1e-3));
}

TEST_CASE("collectives inside layers that leave a node share links, and alone take what the analytic model says") {
  const std::string wide = "strategy.tensor_parallel=16";
  const double alone = iteration(many_nodes, {wide});
  CHECK(iteration(many_nodes, {flow, wide}) == Approx(alone).epsilon(0.01));  // messages of the stages cross them
  const std::string narrow = "cluster.topology={network: {family: fat_tree, nodes_per_leaf: 1, oversubscription: [2]}}";
  const Result slow = result_of(many_nodes, {flow, wide, narrow});
  CHECK(slow.iteration.value() > 1.2 * alone);
  CHECK(slow.breakdown.total().value() == Approx(slow.iteration.value()).epsilon(1e-9));
  CHECK(slow.breakdown.exposed_tp > result_of(many_nodes, {flow, wide}).breakdown.exposed_tp * 1.5);
}

TEST_CASE("expert all-to-alls between nodes meet the messages and the data-parallel traffic of all stages") {
  const std::string experts = "published/mixtral-8x22b.yaml";
  const std::string divided = "strategy.expert_tensor_parallel=2";  // eight experts on 16 ranks, so on two nodes
  const Result shared = result_of(experts, {flow, divided});
  const Result fixed = result_of(experts, {divided});
  CHECK(shared.breakdown.exposed_ep > fixed.breakdown.exposed_ep);
  CHECK(shared.iteration.value() == Approx(fixed.iteration.value()).epsilon(0.05));
  CHECK(result_of(experts, {flow, divided}, ReplayKind::full).iteration == shared.iteration);
  const Result slow = result_of(experts, {flow, divided, "faults=[{rank: 9, link_factor: 3}]"}, ReplayKind::full);
  CHECK(slow.iteration > shared.iteration);
  REQUIRE(slow.ranks->pace);
  CHECK(slow.ranks->pace->place.rank == 9);
}

TEST_CASE("the latency of a long link delays every message and every step of a ring over it") {
  const auto with_latency = [](const char* us) {
    return iteration(sharded, {flow, std::string("cluster.topology={network: {sites: 2, site_gb_s: 1000, "
                                                 "site_latency_us: ") +
                                         us + "}}"});
  };
  // A gather or scatter of n ranks takes n - 1 steps, and two of its n edges are long.
  const Scenario scenario = load_scenario(
      scenarios + sharded, {flow}, [](const Value& config) { return build_transformer(transformer_from_hf(config)); });
  const double n = static_cast<double>(scenario.gpus);
  double calls = 0;
  const auto replayed = std::get<Replayed>(replay_iteration(scenario));
  for (const Task& task : replayed.lowering.graph.programs.front().tasks)
    if (const auto* chain = std::get_if<CollectiveChain>(&replayed.lowering.works[static_cast<std::size_t>(task.work)]))
      for (const CollectiveWork& call : chain->calls) calls += call.count;
  const double most = calls * (n - 1) * 2 / n * 10e-3;
  const double delay = with_latency("10000") - with_latency("0");
  CHECK(delay > 0);
  CHECK(delay < most * 1.01);  // what compute hides is not seen
}

TEST_CASE("a placement that does not fit is refused where it stands") {
  CHECK_THROWS_AS(iteration(many_nodes, {flow, "cluster.placement_list=[0, 1]"}), InputError);
  CHECK_THROWS_AS(iteration(many_nodes, {flow, "cluster.topology={network: {family: none}}"}), InputError);
}

TEST_CASE("a fragmented job that fills its cluster is told so") {
  const auto warned = [](const std::string& cluster) {
    const std::vector<std::string> warnings =
        result_of(many_nodes, {flow, "cluster.placement=fragmented", cluster}).warnings;
    return std::any_of(warnings.begin(), warnings.end(),
                       [](const std::string& text) { return text.find("the fragmented job fills") == 0; });
  };
  CHECK(warned("cluster.cluster_gpus=512"));
  CHECK_FALSE(warned("cluster.cluster_gpus=1024"));
}

TEST_CASE("every rank on its own sends what the folded replay sends") {
  for (const std::string& file : {many_nodes, sharded}) {
    const Result full = result_of(file, {flow}, ReplayKind::full);
    CHECK(full.iteration == result_of(file, {flow}).iteration);
    CHECK(full.iteration.value() == Approx(result_of(file, {}, ReplayKind::full).iteration.value()).epsilon(1e-3));
    REQUIRE(full.ranks);
    CHECK(!full.ranks->pace);
  }
}

TEST_CASE("a rank and a link that hold all back are named") {
  const std::string narrow = "cluster.topology={network: {family: fat_tree, nodes_per_leaf: 1, oversubscription: [8]}}";
  const Result slow = result_of(sharded, {flow, narrow, "faults=[{rank: 20, link_factor: 3}]"}, ReplayKind::full);
  CHECK(slow.iteration > result_of(sharded, {flow, narrow}, ReplayKind::full).iteration);
  REQUIRE(slow.ranks->pace);
  CHECK(slow.ranks->pace->place.rank == 20);
  REQUIRE(slow.ranks->link);
  const bool uplink = slow.ranks->link->from.find("leaf") == 0 || slow.ranks->link->to.find("leaf") == 0;
  CHECK(uplink);
  CHECK(slow.ranks->link->held > Seconds(0));
}

TEST_CASE("with an adapter down its neighbour carries twice as much, from its time on") {
  // All of a node's GPUs reduce at once, so that the node's traffic lasts until two GPUs' parts have left by one
  // adapter.
  const double whole = iteration(sharded, {flow});
  const double broken = iteration(sharded, {flow, "faults=[{part: n1.nic2}]"});
  CHECK(broken > whole);
  const double later =
      iteration(sharded, {flow, "faults=[{part: n1.nic2, from_s: " + std::to_string(whole / 2) + "}]"});
  CHECK(later > whole);
  CHECK(later < broken);
  CHECK(iteration(sharded, {flow, "faults=[{part: n1.nic2, from_s: 1000}]"}) == whole);
  const Result full = result_of(sharded, {flow, "faults=[{part: n1.nic2}]"}, ReplayKind::full);
  CHECK(full.iteration.value() == Approx(broken).epsilon(0.02));
}

TEST_CASE("one of two spines down halves what lies between leaves") {
  const std::string two =
      "cluster.topology={network: {family: fat_tree, nodes_per_leaf: 1, spines: 2, oversubscription: [4]}}";
  const std::string one =
      "cluster.topology={network: {family: fat_tree, nodes_per_leaf: 1, spines: 2, oversubscription: [8]}}";
  CHECK(iteration(sharded, {flow, two, "faults=[{part: spine1}]"}) ==
        Approx(iteration(sharded, {flow, one})).epsilon(1e-3));
}

TEST_CASE("a network that falls apart is refused with its cut") {
  const std::string error = error_of(
      sharded, {flow, "cluster.topology={network: {family: fat_tree, nodes_per_leaf: 1}}", "faults=[{part: leaf1}]"});
  CHECK(error.find("no way from ") == 0);
  CHECK(error.find("cut by ") != std::string::npos);
  CHECK(error.find("leaf1") != std::string::npos);
  CHECK(error_of(sharded, {flow, "faults=[{part: leef1}]"}).find("no part 'leef1'") == 0);
}

TEST_CASE("what is down is held against a network that is whole") {
  const Result whole = result_of(sharded, {flow});
  const Result broken = result_of(sharded, {flow, "faults=[{part: n0.nic0}]"});
  REQUIRE(broken.alone);
  CHECK(*broken.alone == whole.iteration);
  CHECK(broken.iteration > whole.iteration);
}

TEST_CASE("another job slows this one where they share links, and how much is said") {
  const std::string beside = "examples/llama3-8b-shared-fabric.yaml";
  const Result shared = result_of(beside, {});
  REQUIRE(shared.alone);
  CHECK(shared.iteration > *shared.alone);
  const Result undisturbed = result_of(beside, {"background=[]"});
  CHECK(!undisturbed.alone);
  CHECK(undisturbed.iteration == *shared.alone);
  CHECK(error_of(sharded, {flow, "background=[{megabytes: 1, nodes: [0, 1]}]"}).find("node 0 runs this") == 0);
  CHECK(error_of(sharded, {flow, "background=[{megabytes: 1, nodes: [900, 901]}]"}).find("no node 900") == 0);
}

}  // namespace echelon
