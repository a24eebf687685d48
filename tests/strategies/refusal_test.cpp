// A refusal names a number that would do: following the advice must lead to a strategy that runs.
#include <map>
#include <regex>
#include <set>

#include "tests/catch.h"
#include "tests/strategies/random_case.h"

using namespace echelon;

namespace {

using testing::Case;

// Where each number that a refusal may name belongs.
std::int64_t& number_named(const std::string& name, Case& one) {
  Strategy& strategy = one.strategy;
  const std::map<std::string, std::int64_t*> numbers = {
      {"gpus", &one.placement.gpus},
      {"data_parallel", &strategy.mesh.data},
      {"tensor_parallel", &strategy.mesh.tensor},
      {"pipeline_parallel", &strategy.mesh.pipeline},
      {"context_parallel", &strategy.mesh.context},
      {"context_all_to_all_ranks", &strategy.context_all_to_all_ranks},
      {"expert_parallel", &strategy.mesh.expert},
      {"expert_tensor_parallel", &strategy.mesh.expert_tensor},
      {"micro_batch", &strategy.micro_batch},
      {"recompute.group", &strategy.recompute_group},
      {"offload.activation_layers", &strategy.offload.activation_layers},
      {"virtual_stages", &strategy.virtual_stages},
      {"sequence_slices", &strategy.sequence_slices},
      {"schedule_group", &strategy.schedule_group},
      {"first_stage_layers", &strategy.first_stage_layers},
      {"last_stage_layers", &strategy.last_stage_layers},
      {"shard_ranks", &strategy.shard_ranks},
      {"tensor_depth", &strategy.tensor_depth},
      {"local_groups", &strategy.mesh.local_groups},
      {"synchronize_every", &strategy.local_steps.every},
      {"synchronize_fragments", &strategy.local_steps.fragments},
      {"synchronize_delay", &strategy.local_steps.delay},
      {"global_batch", &one.workload.global_batch},
      {"sequence_length", &one.workload.sequence_length},
  };
  INFO(name);
  REQUIRE(numbers.count(name) == 1);
  return *numbers.at(name);
}

// The alternatives that a refusal offers: "...; a 1 and b 2 or c 3 would do" are two.
std::vector<std::string> alternatives(const std::string& reason) {
  static const std::regex advice("; (.*) would do$");
  std::smatch found;
  INFO(reason);
  REQUIRE(std::regex_search(reason, found, advice));
  const std::string all = found[1];
  static const std::regex either(" or ");
  return {std::sregex_token_iterator(all.begin(), all.end(), either, -1), std::sregex_token_iterator()};
}

// Changes what one alternative names, and counts it.
void follow(const std::string& alternative, Case& one, std::map<std::string, int>& followed) {
  static const std::regex change(
      "([a-z_.0-9]+) (true|false|interleaved|1f1b|none|zero1|zero3|host|nvme|1d|2.5d|[0-9]+)");
  for (std::sregex_iterator i(alternative.begin(), alternative.end(), change); i != std::sregex_iterator(); ++i) {
    const std::string name = (*i)[1];
    ++followed[name];
    const std::string value = (*i)[2];
    if (name == "sequence_parallel")
      one.strategy.sequence_parallel = value == "true";
    else if (name == "accumulates_unsharded")
      one.strategy.accumulates_unsharded = value == "true";
    else if (name == "tensor_mode")
      one.strategy.tensor_mode = *from_name<TensorMode>(value);
    else if (name == "recompute")
      one.strategy.recompute = *from_name<Recompute>(value);
    else if (name == "offload.parameters")
      one.strategy.offload.parameters = *from_name<OffloadTarget>(value);
    else if (name == "sharding")
      one.strategy.sharding = *from_name<Sharding>(value);
    else if (name == "offload.optimizer")
      one.strategy.offload.optimizer = *from_name<OffloadTarget>(value);
    else if (name == "vocabulary_parallel")
      one.strategy.vocabulary_parallel = *from_name<VocabularyParallel>(value);
    else if (name == "schedule")
      one.strategy.schedule = *from_name<ScheduleKind>(value);
    else
      number_named(name, one) = std::stoll(value);
    if (name == "sequence_slices") one.strategy.slice_lengths.clear();  // a number cuts evenly
  }
}

// The words of a reason without its numbers and its advice.
std::string subject(const std::string& reason) {
  static const std::regex number("[0-9]+");
  return std::regex_replace(reason.substr(0, reason.find(';')), number, "#");
}

}  // namespace

TEST_CASE("whoever follows the advice of refusals ends with a strategy that lowers") {
  testing::CaseSource source(5);
  std::mt19937_64 random(5);
  std::map<std::string, int> followed;
  for (int refused = 0; refused < 1000;) {
    Case one = source.next();
    auto outcome = lower(one.model, one.workload, one.strategy, one.placement);
    refused += std::holds_alternative<Infeasible>(outcome) ? 1 : 0;
    std::string history = testing::describe(one);
    std::set<std::string> subjects;
    while (std::holds_alternative<Infeasible>(outcome)) {
      const std::string& reason = std::get<Infeasible>(outcome).reason;
      history += "\n" + reason;
      INFO(history);
      REQUIRE(subjects.insert(subject(reason)).second);  // advice that was followed settles its matter
      const auto offered = alternatives(reason);
      follow(offered[random() % offered.size()], one, followed);
      outcome = lower(one.model, one.workload, one.strategy, one.placement);
    }
  }
  for (const char* const name : {"gpus",
                                 "data_parallel",
                                 "tensor_parallel",
                                 "pipeline_parallel",
                                 "expert_parallel",
                                 "expert_tensor_parallel",
                                 "micro_batch",
                                 "virtual_stages",
                                 "first_stage_layers",
                                 "last_stage_layers",
                                 "shard_ranks",
                                 "global_batch",
                                 "sequence_length",
                                 "sequence_parallel",
                                 "schedule",
                                 "sharding",
                                 "offload.activation_layers",
                                 "vocabulary_parallel",
                                 "sequence_slices",
                                 "tensor_mode",
                                 "local_groups",
                                 "accumulates_unsharded",
                                 "recompute.group"}) {
    INFO(name);
    CHECK(followed[name] > 0);
  }
}
