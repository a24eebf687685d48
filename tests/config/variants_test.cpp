#include "sim/config/variants.h"

#include "tests/catch.h"
#include "tests/config/config_test.h"

namespace echelon {

TEST_CASE("a document without lists is one scenario", "[config]") {
  const auto variants = variants_of(parse_text(test::whole_scenario, "doc"));
  REQUIRE(variants.size() == 1);
  CHECK(variants[0].name.empty());
}

TEST_CASE("each combination of lists is a scenario, its keys added to the sections", "[config]") {
  const std::string lists =
      "clusters: {small: {nodes: 2}, large: {nodes: 4}}\n"
      "strategies: {plain: {}, sharded: {sharding: zero1, micro_batch: 1}}\n";
  const auto variants = variants_of(parse_text(std::string(test::whole_scenario) + lists, "doc"));
  REQUIRE(variants.size() == 4);
  CHECK(variants[1].name == "small, sharded");
  CHECK(variants[2].name == "large, plain");
  const auto scenario = [&](std::size_t index) {
    return scenario_from_yaml(variants[index].document, std::string(ECHELON_SOURCE_DIR) + "/tests/config/x.yaml",
                              test::stub_model);
  };
  CHECK(scenario(0).gpus == 16);
  CHECK(scenario(0).strategy.micro_batch == 2);
  CHECK(scenario(3).gpus == 32);
  CHECK(scenario(3).strategy.micro_batch == 1);
  CHECK(scenario(3).strategy.sharding == Sharding::zero1);
}

TEST_CASE("a mistyped key of a variant is refused at its place", "[config]") {
  const std::string lists = "clusters: {small: {nodez: 2}, large: {nodes: 4}}\n";
  const auto variants = variants_of(parse_text(std::string(test::whole_scenario) + lists, "doc"));
  CHECK(test::error_of([&] {
          scenario_from_yaml(variants[0].document, std::string(ECHELON_SOURCE_DIR) + "/tests/config/x.yaml",
                             test::stub_model);
        }) == "doc:15:27: unknown key 'nodez' in cluster; did you mean 'nodes'?");
}

TEST_CASE("lists that give nothing, too much or no scenario of their own are refused", "[config]") {
  const auto error = [](const std::string& lists) {
    return test::error_of([&] {
      const auto document = parse_text(std::string(test::whole_scenario) + lists, "doc");
      for (const Variant& variant : variants_of(document, 3)) variant.document.finish();
    });
  };
  CHECK(error("clusters: {}\n") == "doc:15:11: clusters is empty; expected NAME: {KEY: VALUE, ...}");
  CHECK(error("clusters: {a: {}, b: {}, c: {}, d: {}}\n").find("more than 3 scenarios") != std::string::npos);
  CHECK(error("clusters: [a]\n").find("clusters") != std::string::npos);
  const std::string run =
      test::error_of([] { test::scenario_of(std::string(test::whole_scenario) + "clusters: {a: {}}\n"); });
  CHECK(run ==
        "doc:15:11: clusters makes several scenarios of this document; expected `echelon compare`, or one scenario");
}

}  // namespace echelon
