// Which operators of a latent-attention mixture of experts the parts of Megatron-Core's --recompute-modules are.
#include "sim/model/rerun_list.h"

#include <set>
#include <string>

#include "sim/model/transformer.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

// A dense layer and one of experts, in DeepSeek-V3's style.
Model latent_mixture() {
  TransformerSpec spec;
  spec.layers = 2;
  spec.hidden = 64;
  spec.heads = 4;
  spec.ffn = 128;
  spec.vocabulary = 1000;
  spec.gated = true;
  spec.norm = NormKind::rms_norm;
  spec.position_kind = PositionKind::rotary;
  spec.latent = LatentAttention{.q_rank = 24, .kv_rank = 16, .nope_dim = 16, .rope_dim = 8, .v_dim = 16};
  spec.mixture = MixtureOfExperts{.experts = 8, .top_k = 2, .ffn = 32, .shared_ffn = 32};
  spec.layer_specs.resize(2);
  spec.layer_specs[1].kind = LayerKind::mixture;
  return build_transformer(spec);
}

std::set<std::string> names(const RerunList& list) {
  std::set<std::string> found;
  for (const Block& block : latent_mixture().blocks)
    for (const auto vertex : boost::make_iterator_range(boost::vertices(block.graph)))
      if (list.contains(block.graph[vertex])) found.insert(block.graph[vertex].name);
  return found;
}

std::set<std::string> names(RecomputeModule module) {
  return names(RerunList{{}, {module}});
}

}  // namespace

TEST_CASE("recompute modules are operators of a layer") {
  using Names = std::set<std::string>;
  CHECK(names(RecomputeModule::core_attn) == Names{"attention"});
  CHECK(names(RecomputeModule::layernorm) == Names{"input_norm", "mlp_norm"});
  CHECK(names(RecomputeModule::mla_up_proj) == Names{"q_up", "kv_up", "qkv_assemble", "latent_rotary"});
  CHECK(names(RecomputeModule::moe_act) == Names{"experts_activation"});
  CHECK(names(RecomputeModule::mlp) == Names{"mlp_up", "mlp_activation", "mlp_down"});
  CHECK(names(RecomputeModule::shared_experts) ==
        Names{"shared_expert_up", "shared_expert_activation", "shared_expert_down"});
  CHECK(names(RecomputeModule::moe) == Names{"router", "routing", "dispatch", "experts_up", "experts_activation",
                                             "experts_down", "combine", "shared_expert_up", "shared_expert_activation",
                                             "shared_expert_down", "expert_sum"});
}

TEST_CASE("kinds and modules of a list add up") {
  CHECK(RerunList{}.empty());
  CHECK(names({{OperatorKind::attention}, {RecomputeModule::moe_act}}) ==
        std::set<std::string>{"attention", "experts_activation"});
}
