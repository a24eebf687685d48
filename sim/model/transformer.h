// A decoder (or encoder) transformer described by its shape, and the model that it makes.
//
// Blocks: "embedding", one block for each distinct kind of layer (what it is made of, attention window, positions), and
// "head". Operators carry Megatron's way of splitting them (sim/model/operator.h).
// Parameter counts follow the published architectures; GPT-style ones have
// 12 L h^2 (1 + 13/(12 h) + (V + s)/(12 L h)) parameters (arXiv:2104.04473, equation 2), and a final norm of 2 h more.
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
    {NormKind::layer_norm, "layer_norm"},
    {NormKind::rms_norm, "rms_norm"},
});

enum class PositionKind { none, learned, rotary };

template <>
inline constexpr auto enum_names<PositionKind> = std::to_array<EnumName<PositionKind>>({
    {PositionKind::none, "none"},
    {PositionKind::learned, "learned"},
    {PositionKind::rotary, "rotary"},
});

// Where a layer normalises, on each of its branches (attention, MLP).
enum class NormPlacement {
  before,  // the branch's input (GPT-2, Llama)
  after,   // the branch's output, before the residual add (OLMo 2, arXiv:2501.00656)
  both,    // Gemma 2 (arXiv:2408.00118)
};

// Norms of queries and keys ahead of their product.
enum class QkNorm {
  none,
  per_head,    // weights of head_dim features, shared by all heads (Qwen3, Gemma 3)
  all_heads,   // weights over all heads together (OLMo 2)
  unweighted,  // no weights (Llama 4)
};

// How attention and MLP of one layer stand to each other.
enum class BlockOrder {
  sequential,
  parallel,              // both read the layer's input, each through a norm of its own (GPT-NeoX, Falcon 40B)
  parallel_shared_norm,  // ... through one norm (GPT-J, Phi-2, Falcon 7B)
};

// Multi-head latent attention (arXiv:2405.04434, section 2.1). Sizes in features.
struct LatentAttention {
  std::int64_t q_rank = 0;    // rank of the query's compression; 0 = queries are projected directly
  std::int64_t kv_rank = 0;   // rank of the common compression of keys and values
  std::int64_t nope_dim = 0;  // head features without position
  std::int64_t rope_dim = 0;  // head features with rotary position, shared by all heads on the key side
  std::int64_t v_dim = 0;     // value features of a head
  // The lightning indexer of DeepSeek-V3.2 (DeepSeek-V3.2-Exp report, equation 1) scores every key with small heads of
  // its own; attention reads the best ones. Needs q_rank.
  std::int64_t index_heads = 0;  // 0 = no indexer
  std::int64_t index_dim = 0;    // features of an index head; all heads share one key
  std::int64_t index_keys = 0;   // keys that a query attends to
};

struct MixtureOfExperts {
  std::int64_t experts = 0;     // routed experts of a layer
  std::int64_t top_k = 0;       // routed experts of a token
  std::int64_t ffn = 0;         // inner width of one expert, features
  std::int64_t shared_ffn = 0;  // inner width of all shared experts together, features; 0 = none
  bool shared_gate = false;     // a one-feature gate scales the shared expert (Qwen1.5-MoE)
  bool router_bias = false;     // a trained bias on the router's logits (gpt-oss)
  bool expert_bias = false;     // biases on the experts' linear layers (gpt-oss)
  bool expert_clamp = false;    // their activation's inputs are limited first (gpt-oss, by 7)
};

// A Mamba-2 layer (arXiv:2405.21060). Inner width = heads * head_dim.
struct StateSpace {
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;     // features
  std::int64_t state = 0;        // state features of each inner feature
  std::int64_t groups = 1;       // groups of heads that share B and C
  std::int64_t convolution = 4;  // taps of the short convolution
};

// What one layer is made of.
enum class LayerKind {
  dense,           // attention and MLP
  mixture,         // attention and mixture of experts
  attention_only,  // these two and state_space: hybrids count each part as a layer (Nemotron-H)
  mlp_only,
  state_space,
};

struct LayerSpec {
  LayerKind kind = LayerKind::dense;
  std::int64_t window = 0;  // attention window in tokens; 0 = all
  bool rotary = true;       // false: no positions in this layer of a rotary model (Llama 4's global layers)
  friend bool operator==(const LayerSpec&, const LayerSpec&) = default;
};

// The shape of a whole model. The defaults are GPT-2's style. Multi-token-prediction layers are no part of it.
struct TransformerSpec {
  std::string name;
  std::string source;                                  // where the shape came from: a file, a published table
  std::int64_t layers = 0;                             // at least 1
  std::int64_t hidden = 0;                             // features of the residual stream
  std::int64_t heads = 0;                              // query heads
  std::int64_t kv_heads = 0;                           // heads of keys and values; 0 = heads
  std::int64_t head_dim = 0;                           // features of a head; 0 = hidden / heads
  std::int64_t ffn = 0;                                // inner width of a dense MLP, features; 0 = 4 hidden
  std::int64_t vocabulary = 0;                         // rows of the embedding table, padding included
  std::int64_t positions = 0;                          // rows of the learned position table
  PositionKind position_kind = PositionKind::learned;  // none also for ALiBi: no parameters, no kernel of its own
  bool scaled_rotary = false;                          // its sines and cosines are times a factor (arXiv:2309.00071,
                                                       // section 3.4)
  NormKind norm = NormKind::layer_norm;
  NormPlacement norm_placement = NormPlacement::before;
  bool norm_bias = true;        // of LayerNorm; RMSNorm has none
  bool norm_weight = true;      // false: norms without parameters
  bool embedding_norm = false;  // a norm after the embedding (BLOOM)
  QkNorm qk_norm = QkNorm::none;
  BlockOrder block_order = BlockOrder::sequential;
  bool gated = false;  // gated MLP: two inner projections
  bool causal = true;  // false: every token attends to all (encoders)
  bool qkv_bias = true;
  bool out_bias = true;  // of attention's output projection
  bool mlp_bias = true;
  bool head_bias = false;                 // of the projection to the vocabulary
  bool attention_sinks = false;           // one learned logit a head (gpt-oss)
  bool tied_embeddings = true;            // the output projection uses the embedding's table
  std::optional<LatentAttention> latent;  // in place of heads with keys and values of their own
  std::optional<MixtureOfExperts> mixture;
  std::optional<StateSpace> state_space;
  std::vector<LayerSpec> layer_specs;  // one a layer; empty = all alike, dense (mixtures where `mixture` is given)
};

// Builds the operator graphs. The spec must be complete and fit together (sizes positive, layer_specs empty or one a
// layer, `mixture` and `state_space` given where a layer is of that kind): readers check what users give, this throws
// InternalError. Norms after only or parallel blocks do not go with latent attention.
Model build_transformer(const TransformerSpec& spec);

}  // namespace echelon
