// Keys that change nothing beside others are told, and the same keys where they are read are not.
#include "strategies/unread.h"

#include "sim/model/transformer.h"
#include "tests/catch.h"
#include "tests/strategies/lowered.h"

using namespace echelon;

namespace {

Model mixture() {
  TransformerSpec spec = testing::gpt_shape(4, 64, 4, 128, 32);
  spec.mixture = MixtureOfExperts{8, 2, 96};
  return build_transformer(spec);
}

}  // namespace

TEST_CASE("a strategy of defaults says nothing that is not read") {
  for (const auto& framework : enum_names<FrameworkKind>)
    CHECK(unread_keys(testing::tiny_gpt(4), framework_defaults(framework.value)).empty());
}

TEST_CASE("each key is told where it changes nothing, and only there") {
  const Model dense = testing::tiny_gpt(4);
  Strategy strategy;
  strategy.shard_ranks = 2;
  CHECK(unread_keys(dense, strategy) == std::vector<std::string>{"strategy.shard_ranks is read with sharding: hybrid "
                                                                 "alone and changes nothing here"});
  strategy.sharding = Sharding::hybrid;
  CHECK(unread_keys(dense, strategy).empty());
  strategy = {};
  strategy.schedule_activations = 3;
  CHECK(unread_keys(dense, strategy).size() == 1);
  strategy.schedule = ScheduleKind::searched;
  CHECK(unread_keys(dense, strategy).empty());
  strategy = {};
  strategy.expert_imbalance = 4;
  strategy.expert_concentration = 1;
  strategy.expert_nodes_per_token = 2;
  strategy.overlap_expert = true;
  CHECK(unread_keys(dense, strategy).size() == 4);
  CHECK(unread_keys(mixture(), strategy).size() == 4);
  strategy.expert_capacity_factor = 1;  // which drops what is drawn beyond it on one rank too
  CHECK(unread_keys(mixture(), strategy).size() == 3);
  strategy.mesh.expert = 4;
  CHECK(unread_keys(mixture(), strategy).empty());
  strategy.fused_experts = true;
  strategy.mesh.expert_tensor = 2;
  CHECK(unread_keys(mixture(), strategy).empty());
  CHECK(unread_keys(dense, strategy).size() == 7);
  strategy = {};
  strategy.fused_activation = false;
  strategy.optimizer_post_validation = true;
  CHECK(unread_keys(dense, strategy).size() == 1);  // one stage
  strategy.mesh.pipeline = 2;
  CHECK(unread_keys(dense, strategy).empty());
  strategy.kernels = KernelStyle::transformer_engine;
  CHECK(unread_keys(dense, strategy).size() == 1);
  strategy.kernels = KernelStyle::megatron_fused;
  TransformerSpec with_gates = testing::gpt_shape(4, 64, 4, 128, 32);
  with_gates.gated = true;
  CHECK(unread_keys(build_transformer(with_gates), strategy).size() == 1);
  strategy = {};
  strategy.context_all_to_all_ranks = 2;
  strategy.mesh.context = 4;
  CHECK(unread_keys(dense, strategy).size() == 1);
  strategy.context_exchange = ContextExchange::all_to_all_ring;
  CHECK(unread_keys(dense, strategy).empty());
  strategy = {};
  strategy.local_steps.format = OuterFormat::fp8;
  strategy.local_steps.optimizer = OuterOptimizer::average;
  strategy.local_steps.pattern = FragmentPattern::sequential;
  CHECK(unread_keys(dense, strategy).size() == 3);
  strategy.mesh.local_groups = 2;
  CHECK(unread_keys(dense, strategy).size() == 1);
  strategy.local_steps.fragments = 2;
  CHECK(unread_keys(dense, strategy).empty());
}

TEST_CASE("recompute of what the model does not have is told") {
  const Model dense = testing::tiny_gpt(4);
  Strategy strategy;
  strategy.recompute = Recompute::operators;
  strategy.recompute_operators.kinds = {OperatorKind::norm, OperatorKind::convolution};
  CHECK(unread_keys(dense, strategy) ==
        std::vector<std::string>{"strategy.recompute names convolution operators, of which the model has none"});
  strategy.recompute = Recompute::full;
  strategy.mesh.pipeline = 2;
  strategy.recompute_layers = 2;
  CHECK(unread_keys(dense, strategy).empty());
  strategy.recompute_layers = 100;
  CHECK(unread_keys(dense, strategy) ==
        std::vector<std::string>{"strategy.recompute names 100 layers of each chunk, of which none has more than 2"});
  strategy.recompute_layers = 0;
  strategy.recompute_group = 2;
  CHECK(unread_keys(dense, strategy).empty());
  strategy.recompute_group = 3;
  CHECK(unread_keys(dense, strategy) ==
        std::vector<std::string>{"strategy.recompute groups 3 layers, and no chunk has more than 2"});
  strategy.recompute_group = Strategy::whole_chunk;
  CHECK(unread_keys(dense, strategy).empty());
}
