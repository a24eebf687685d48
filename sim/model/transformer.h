// A decoder (or encoder) transformer described by its shape, and the model that it makes.
//
// Blocks: "embedding", one block for each distinct kind of layer (dense or mixture of experts, attention window, state space),
// and "head". Operators carry Megatron's way of splitting them (sim/model/operator.h).
// Parameter counts follow the published architectures; GPT-style: 12 L h^2 (1 + 13/(12 h) + (V + s)/(12 L h)), arXiv:2104.04473.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/model/model.h"

namespace echelon {

enum class NormKind { layer_norm, rms_norm };

template <>
inline constexpr auto enum_names<NormKind> = std::to_array<EnumName<NormKind>>({
    {NormKind::layer_norm, "layer_norm"}, {NormKind::rms_norm, "rms_norm"},
});

enum class PositionKind { none, learned, rotary };

template <>
inline constexpr auto enum_names<PositionKind> = std::to_array<EnumName<PositionKind>>({
    {PositionKind::none, "none"}, {PositionKind::learned, "learned"}, {PositionKind::rotary, "rotary"},
});

// Multi-head latent attention (arXiv:2405.04434, section 2.1). Sizes in features.
struct LatentAttention {
  std::int64_t q_rank = 0;   // rank of the query's compression; 0 = queries are projected directly
  std::int64_t kv_rank = 0;
  std::int64_t nope_dim = 0;  // head features without position
  std::int64_t rope_dim = 0;  // head features with rotary position, shared by all heads on the key side
  std::int64_t v_dim = 0;
};

struct MixtureOfExperts {
  std::int64_t experts = 0;      // routed experts of a layer
  std::int64_t top_k = 0;
  std::int64_t ffn = 0;          // inner width of one expert
  std::int64_t shared_ffn = 0;   // inner width of all shared experts together; 0 = none
  bool shared_gate = false;      // a one-feature gate scales the shared expert (Qwen1.5-MoE)
  bool router_bias = false;
  bool expert_bias = false;
};

// A Mamba-2 layer (arXiv:2405.21060). Inner width = heads * head_dim.
struct StateSpace {
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t state = 0;
  std::int64_t groups = 1;
  std::int64_t convolution = 4;
};

// What one layer is made of.
enum class LayerKind {
  dense,         // attention and MLP
  mixture,       // attention and mixture of experts
  attention_only,
  mlp_only,
  state_space,
};

struct LayerSpec {
  LayerKind kind = LayerKind::dense;
  std::int64_t window = 0;  // attention window in tokens; 0 = all
  friend bool operator==(const LayerSpec&, const LayerSpec&) = default;
};

struct TransformerSpec {
  std::string name;
  std::string source;
  std::int64_t layers = 0;
  std::int64_t hidden = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;   // 0 = heads
  std::int64_t head_dim = 0;   // 0 = hidden / heads
  std::int64_t ffn = 0;        // 0 = 4 hidden
  std::int64_t vocabulary = 0;
  std::int64_t positions = 0;  // rows of a learned position table
  PositionKind position_kind = PositionKind::learned;
  NormKind norm = NormKind::layer_norm;
  bool norm_bias = true;       // LayerNorm only
  bool norm_weight = true;
  bool embedding_norm = false; // a norm after the embedding (BLOOM)
  bool gated = false;          // gated MLP: two inner projections
  bool causal = true;
  bool qkv_bias = true;
  bool out_bias = true;
  bool mlp_bias = true;
  bool head_bias = false;
  bool attention_sinks = false;  // one learned logit a head (gpt-oss)
  bool tied_embeddings = true;
  bool parallel_block = false;   // attention and MLP read the same input
  bool shared_norm = false;      // parallel blocks: one norm for both
  bool post_norms = false;       // norms after attention and MLP beside those before (Gemma 2)
  bool pre_norms = true;         // OLMo 2 has only the ones after
  bool qk_norm = false;          // norms of queries and keys over head_dim
  bool qk_norm_wide = false;     // ... over all heads together (OLMo 2)
  std::optional<LatentAttention> latent;
  std::optional<MixtureOfExperts> mixture;
  std::optional<StateSpace> state_space;
  std::vector<LayerSpec> layer_specs;  // empty = `layers` dense layers (mixtures where `mixture` is given)
};

// Builds the operator graphs. The spec must be complete: readers check what users give.
Model build_transformer(const TransformerSpec& spec);

}  // namespace echelon
