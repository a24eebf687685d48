#include "sim/model/rerun_list.h"

#include <algorithm>

namespace echelon {

bool belongs(const Operator& op, RecomputeModule module) {
  const std::string_view name = op.name;
  switch (module) {
    case RecomputeModule::core_attn:
      return name == "attention";
    case RecomputeModule::layernorm:
      return name == "input_norm" || name == "mlp_norm";
    case RecomputeModule::mla_up_proj:
      return name == "q_up" || name == "kv_up" || name == "qkv_assemble" || name == "latent_rotary";
    case RecomputeModule::moe_act:
      return name == "experts_activation";
    case RecomputeModule::mlp:
      return name == "mlp_up" || name == "mlp_activation" || name == "mlp_down";
    case RecomputeModule::shared_experts:
      return name.starts_with("shared_expert_");
    case RecomputeModule::moe:
      return name.starts_with("experts_") || name.starts_with("shared_expert_") || name == "router" ||
             name == "routing" || name == "dispatch" || name == "combine" || name == "expert_sum";
  }
  return false;
}

bool has_part(const Model& model, RecomputeModule module) {
  for (const Block& block : model.blocks)
    for (const auto vertex : boost::make_iterator_range(boost::vertices(block.graph)))
      if (belongs(block.graph[vertex], module)) return true;
  return false;
}

bool RerunList::contains(const Operator& op) const {
  return std::find(kinds.begin(), kinds.end(), op.kind) != kinds.end() ||
         std::any_of(modules.begin(), modules.end(), [&](RecomputeModule module) { return belongs(op, module); });
}

}  // namespace echelon
