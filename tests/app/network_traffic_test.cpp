#include "sim/app/network_traffic.h"

#include "sim/app/simulate.h"
#include "sim/interop/hf_config.h"
#include "tests/catch.h"

namespace echelon {

namespace {

const std::string scenarios = std::string(ECHELON_SOURCE_DIR) + "/scenarios/";

double iteration(const std::string& file, const std::vector<std::string>& overrides) {
  const Scenario scenario = load_scenario(
      scenarios + file, overrides, [](const Value& config) { return build_transformer(transformer_from_hf(config)); });
  return std::get<Result>(simulate(scenario)).iteration.value();
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

TEST_CASE("a placement that does not fit is refused where it stands") {
  CHECK_THROWS_AS(iteration(many_nodes, {flow, "cluster.placement_list=[0, 1]"}), InputError);
  CHECK_THROWS_AS(iteration(many_nodes, {flow, "cluster.topology={network: {family: none}}"}), InputError);
}

}  // namespace echelon
