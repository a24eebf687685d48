// Experts that are full, from document to result.
#include "sim/app/simulate.h"
#include "tests/app/scenario_text.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

Result result_with(const std::string& strategy) {
  const auto outcome = simulate(testing::scenario_from_text(
      "echelon: 1\n"
      "model: {layers: 4, hidden: 2048, heads: 16, vocabulary: 50304, moe: {experts: 16, top_k: 2}}\n"
      "cluster: {profile: dgx-h100, nodes: 1}\n"
      "workload: {sequence_length: 2048, global_batch: 16, precision: bf16}\n"
      "strategy: {framework: megatron, data_parallel: 8, micro_batch: 1" +
      strategy + "}\n"));
  REQUIRE(std::holds_alternative<Result>(outcome));
  return std::get<Result>(outcome);
}

Result result_of(const std::string& strategy) {
  return result_with(", expert_parallel: 8" + strategy);
}

std::string warning_of(const Result& result) {
  for (const std::string& warning : result.warnings)
    if (warning.find("token copies are dropped") != std::string::npos) return warning;
  return "";
}

}  // namespace

TEST_CASE("a capacity that drops most copies is told, and does not pass for utilisation") {
  const Result dropless = result_of("");
  const Result full = result_of(", expert_capacity_factor: 1");
  const Result tenth = result_of(", expert_capacity_factor: 0.1");
  CHECK(warning_of(dropless).empty());
  CHECK(warning_of(full).empty());
  CHECK(warning_of(tenth).find("90 % of token copies are dropped: experts have room for 0.1 times their mean") == 0);
  CHECK(tenth.iteration < full.iteration);
  CHECK(full.model_flops == dropless.model_flops);
  // Nothing is computed twice and attention alone is counted more than it computes, unmasked.
  CHECK(tenth.model_flops < full.model_flops);
  CHECK(tenth.mfu() < 1.1 * tenth.hfu());
  // All on one rank of eight is eight times the mean: one mean of them stays, an eighth.
  CHECK(warning_of(result_of(", expert_capacity_factor: 1, expert_imbalance: 8")).find("87.5 % of token copies") == 0);
}

TEST_CASE("gathers of ranks that share an expert take time where the other layers have none") {
  // Two ranks that share 16 experts: each gets the other's rows and scatters their sums, forward and backward.
  const auto exposed = [](const std::string& strategy) {
    return result_with(", sequence_parallel: true" + strategy).breakdown.exposed_tp;
  };
  CHECK(exposed("") == Seconds(0));
  const Seconds two = exposed(", expert_tensor_parallel: 2");
  const Seconds four = exposed(", expert_tensor_parallel: 4");
  CHECK(two > Seconds(0));
  // Four ranks receive three others' rows each where two receive one's; NCCL's rings reach more of the links' rate.
  CHECK(four > two * 1.5);
  CHECK(four < two * 4);
}
