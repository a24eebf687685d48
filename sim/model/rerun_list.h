// Which operators of a layer run again before its backward pass.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "sim/base/enum_names.h"
#include "sim/model/model.h"
#include "sim/model/operator.h"

namespace echelon {

// The parts of a layer that Megatron-Core's --recompute-modules names
// (megatron/core/transformer/transformer_config.py).
enum class RecomputeModule {
  core_attn,       // attention itself
  layernorm,       // the norms before attention and the MLP
  mla_up_proj,     // latent attention: from the compressed queries and keys to what attention reads
  moe_act,         // the experts' activation
  mlp,             // a dense MLP
  shared_experts,  // those that every token takes
  moe              // everything from the router to the sum of the experts, exchanges included
};

template <>
inline constexpr auto enum_names<RecomputeModule> = std::to_array<EnumName<RecomputeModule>>({
    {RecomputeModule::core_attn, "core_attn"},
    {RecomputeModule::layernorm, "layernorm"},
    {RecomputeModule::mla_up_proj, "mla_up_proj"},
    {RecomputeModule::moe_act, "moe_act"},
    {RecomputeModule::mlp, "mlp"},
    {RecomputeModule::shared_experts, "shared_experts"},
    {RecomputeModule::moe, "moe"},
});

// Whether the operator of a transformer's layer belongs to the module, by its name.
bool belongs(const Operator& op, RecomputeModule module);
bool has_part(const Model& model, RecomputeModule module);

// Operators of these kinds and of these modules.
struct RerunList {
  std::vector<OperatorKind> kinds;
  std::vector<RecomputeModule> modules;

  bool empty() const { return kinds.empty() && modules.empty(); }
  bool contains(const Operator& op) const;

  friend bool operator==(const RerunList&, const RerunList&) = default;
};

}  // namespace echelon
