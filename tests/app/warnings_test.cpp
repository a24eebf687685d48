// What a user is told beside the numbers.
#include "sim/app/simulate.h"
#include "tests/app/scenario_text.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

// Of 24 H100 in nodes of eight, sentences on groups that lie unevenly.
std::vector<std::string> uneven_groups(const std::string& strategy) {
  const auto outcome =
      simulate(testing::scenario_from_text("echelon: 1\n"
                                           "model: {layers: 4, hidden: 1536, heads: 12, vocabulary: 50304}\n"
                                           "cluster: {profile: dgx-h100, nodes: 3}\n"
                                           "workload: {sequence_length: 6144, global_batch: 24, precision: bf16}\n"
                                           "strategy: {framework: megatron, micro_batch: 1, " +
                                           strategy + "}\n"));
  REQUIRE(std::holds_alternative<Result>(outcome));
  std::vector<std::string> found;
  for (const std::string& warning : std::get<Result>(outcome).warnings)
    if (warning.find("lies unevenly") != std::string::npos) found.push_back(warning);
  return found;
}

}  // namespace

TEST_CASE("groups that lie unevenly on nodes are told") {
  // Ranks 6 to 8 are two on the first node and one on the second; by fours or eights a node is filled.
  CHECK(
      uneven_groups("tensor_parallel: 3, data_parallel: 8") ==
      std::vector<std::string>{"tensor_parallel 3 lies unevenly on nodes of 8 GPUs: some groups have 1 of their ranks "
                               "on one and 2 on another"});
  CHECK(uneven_groups("tensor_parallel: 4, data_parallel: 6").empty());
  CHECK(uneven_groups("context_parallel: 3, data_parallel: 8").size() == 1);
  CHECK(uneven_groups("context_parallel: 8, data_parallel: 3").empty());
}
