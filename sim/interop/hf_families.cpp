#include "sim/interop/hf_families.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sim/config/model_config.h"

namespace echelon {

namespace {

constexpr HfBiases no_biases = {};
constexpr HfBiases query_biases = {.qkv = true};
constexpr HfBiases block_biases = {.qkv = true, .out = true, .mlp = true};
constexpr HfBiases all_biases = {.qkv = true, .out = true, .mlp = true, .head = true};
constexpr HfBiases mlp_and_head_biases = {.mlp = true, .head = true};

// One entry for each layer, all alike, for readers that then change some.
std::vector<LayerSpec>& layers_of(TransformerSpec& spec) {
  if (spec.layer_specs.empty()) {
    LayerSpec layer;
    if (spec.mixture) layer.kind = LayerKind::mixture;
    spec.layer_specs.assign(static_cast<std::size_t>(spec.layers), layer);
  }
  return spec.layer_specs;
}

// attention_bias is on all four projections; mlp_bias on the MLP's (llama, deepseek, gpt_oss).
void read_biases(const HfConfig& config, TransformerSpec& spec) {
  spec.qkv_bias = config.flag_or({"attention_bias", "qkv_bias"}, spec.qkv_bias);
  spec.out_bias = config.flag_or({"attention_bias"}, spec.out_bias);
  spec.mlp_bias = config.flag_or({"mlp_bias"}, spec.mlp_bias);
}

// A window on all layers. One as long as the context is none.
void read_window(const HfConfig& config, TransformerSpec& spec) {
  const std::int64_t window = config.size_or({"sliding_window"}, 0, most_vocabulary);
  const std::int64_t context = config.size_or({"max_position_embeddings"}, 0, most_vocabulary);
  if (window == 0 || (context > 0 && window >= context)) return;
  for (LayerSpec& layer : layers_of(spec)) layer.window = window;
}

// The config's own list of layer types where there is one; else every `pattern`-th layer is global, the pattern-th
// first.
void read_alternating_windows(const HfConfig& config, std::int64_t pattern, TransformerSpec& spec) {
  const std::int64_t window = config.size({"sliding_window"}, most_vocabulary);
  std::vector<LayerSpec>& layers = layers_of(spec);
  std::vector<Value> types;
  if (const auto list = config.find({"layer_types"})) {
    types = list->items();
    if (types.size() != layers.size())
      list->fail(fmt::format("{} layer types for {} layers", types.size(), layers.size()), "expected one a layer");
  }
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const bool global =
        types.empty() ? (static_cast<std::int64_t>(i) + 1) % pattern == 0 : types[i].text() == "full_attention";
    if (!global) layers[i].window = window;
  }
}

void read_llama(const HfConfig& config, TransformerSpec& spec) {
  read_biases(config, spec);
}

void read_mistral(const HfConfig& config, TransformerSpec& spec) {
  read_window(config, spec);
}

// OPT's table has two rows more than positions (transformers, OPTLearnedPositionalEmbedding).
void read_opt(const HfConfig& config, TransformerSpec& spec) {
  spec.positions += 2;
  if (const auto width = config.find({"word_embed_proj_dim"}); width && width->integer() != spec.hidden)
    width->fail("embeddings of another width than the model's are not supported", "expected hidden_size");
  if (const auto before = config.find({"do_layer_norm_before"}); before && !before->boolean())
    before->fail("norms after the residual add are not supported", "expected true");
}

void read_bloom(const HfConfig&, TransformerSpec& spec) {
  spec.embedding_norm = true;
}

void read_gpt_neox(const HfConfig& config, TransformerSpec& spec) {
  if (!config.flag_or({"use_parallel_residual"}, true)) spec.block_order = BlockOrder::sequential;
  spec.qkv_bias = spec.out_bias = config.flag_or({"attention_bias"}, true);
}

// Two generations: the older shares one head of keys and values and one norm, the newer groups heads and has two norms.
void read_falcon(const HfConfig& config, TransformerSpec& spec) {
  const bool newer = config.flag_or({"new_decoder_architecture"}, false);
  if (!newer) spec.kv_heads = config.flag_or({"multi_query"}, true) ? 1 : spec.heads;
  const bool two_norms = newer && config.size_or({"num_ln_in_parallel_attn"}, 2, 2) == 2;
  if (newer || config.flag_or({"parallel_attn"}, true))
    spec.block_order = two_norms ? BlockOrder::parallel : BlockOrder::parallel_shared_norm;
  spec.qkv_bias = spec.out_bias = spec.mlp_bias = config.flag_or({"bias"}, false);
  if (config.flag_or({"alibi"}, false)) spec.position_kind = PositionKind::none;
}

void read_gemma2(const HfConfig& config, TransformerSpec& spec) {
  read_alternating_windows(config, 2, spec);
}

void read_gemma3(const HfConfig& config, TransformerSpec& spec) {
  constexpr std::int64_t default_pattern = 6;  // transformers, Gemma3TextConfig
  const std::int64_t pattern = config.size_or({"sliding_window_pattern"}, default_pattern, most_layers);
  read_alternating_windows(config, std::max<std::int64_t>(pattern, 1), spec);
}

// Qwen's windows count only where use_sliding_window says so, and then from layer max_window_layers on.
void read_qwen(const HfConfig& config, TransformerSpec& spec) {
  read_biases(config, spec);
  if (!config.flag_or({"use_sliding_window"}, false)) return;
  const std::int64_t window = config.size({"sliding_window"}, most_vocabulary);
  const std::int64_t full = config.size_or({"max_window_layers"}, 0, most_layers);
  std::vector<LayerSpec>& layers = layers_of(spec);
  for (std::int64_t i = full; i < spec.layers; ++i) layers[static_cast<std::size_t>(i)].window = window;
}

MixtureOfExperts read_experts(const HfConfig& config, HfNames width) {
  MixtureOfExperts moe;
  moe.experts = config.size({"num_local_experts", "num_experts", "n_routed_experts"}, most_features);
  moe.top_k = config.size({"num_experts_per_tok", "experts_per_token"}, most_features);
  moe.ffn = config.size(width, most_features);
  return moe;
}

void read_mixtral(const HfConfig& config, TransformerSpec& spec) {
  spec.mixture = read_experts(config, {"intermediate_size"});
  read_window(config, spec);
}

// Every decoder_sparse_step-th layer is a mixture, but for those in mlp_only_layers.
void read_qwen_moe(const HfConfig& config, TransformerSpec& spec) {
  spec.mixture = read_experts(config, {"moe_intermediate_size"});
  spec.mixture->shared_ffn = config.size_or({"shared_expert_intermediate_size"}, 0, most_features);
  spec.mixture->shared_gate = spec.mixture->shared_ffn > 0;
  const std::int64_t step = std::max<std::int64_t>(config.size_or({"decoder_sparse_step"}, 1, most_layers), 1);
  std::vector<LayerSpec>& layers = layers_of(spec);
  for (std::int64_t i = 0; i < spec.layers; ++i)
    if ((i + 1) % step != 0) layers[static_cast<std::size_t>(i)].kind = LayerKind::dense;
  if (const auto dense = config.find({"mlp_only_layers"}))
    for (const Value& index : dense->items())
      layers[static_cast<std::size_t>(index.integer(0, spec.layers - 1))].kind = LayerKind::dense;
  read_qwen(config, spec);
}

std::optional<LatentAttention> read_latent(const HfConfig& config) {
  if (!config.find({"kv_lora_rank"})) return std::nullopt;
  LatentAttention latent;
  latent.q_rank = config.size_or({"q_lora_rank"}, 0, most_features);
  latent.kv_rank = config.size({"kv_lora_rank"}, most_features);
  latent.nope_dim = config.size({"qk_nope_head_dim"}, most_features);
  latent.rope_dim = config.size({"qk_rope_head_dim"}, most_features);
  latent.v_dim = config.size({"v_head_dim"}, most_features);
  return latent;
}

// DeepSeek and Kimi: leading dense layers, then mixtures with shared experts of the routed ones' width each.
void read_deepseek(const HfConfig& config, TransformerSpec& spec) {
  read_biases(config, spec);
  spec.latent = read_latent(config);
  spec.mixture = read_experts(config, {"moe_intermediate_size"});
  spec.mixture->shared_ffn = spec.mixture->ffn * config.size_or({"n_shared_experts"}, 0, most_layers);
  const std::int64_t dense = config.size_or({"first_k_dense_replace"}, 0, most_layers);
  const std::int64_t every = std::max<std::int64_t>(config.size_or({"moe_layer_freq"}, 1, most_layers), 1);
  std::vector<LayerSpec>& layers = layers_of(spec);
  for (std::int64_t i = 0; i < spec.layers; ++i)
    if (i < dense || i % every != 0) layers[static_cast<std::size_t>(i)].kind = LayerKind::dense;
}

// Multi-head latent attention is what these are: without its sizes the config is incomplete.
void read_deepseek_latent(const HfConfig& config, TransformerSpec& spec) {
  config.at({"kv_lora_rank"});
  read_deepseek(config, spec);
}

void read_deepseek_sparse(const HfConfig& config, TransformerSpec& spec) {
  read_deepseek_latent(config, spec);
  spec.latent->index_heads = config.size({"index_n_heads"}, most_features);
  spec.latent->index_dim = config.size({"index_head_dim"}, most_features);
  spec.latent->index_keys = config.size({"index_topk"}, most_vocabulary);
}

void read_gpt_oss(const HfConfig& config, TransformerSpec& spec) {
  read_biases(config, spec);
  spec.mixture = read_experts(config, {"intermediate_size"});
  spec.mixture->router_bias = spec.mixture->expert_bias = spec.mixture->expert_clamp = true;
  spec.attention_sinks = true;
  read_alternating_windows(config, 2, spec);
}

// Which layers have rotary positions: those flagged 1 in no_rope_layers, or all but every fourth.
void read_llama4_positions(const HfConfig& config, TransformerSpec& spec) {
  constexpr std::int64_t default_interval = 4;  // transformers, Llama4TextConfig.no_rope_layer_interval
  const std::int64_t interval = config.size_or({"no_rope_layer_interval"}, default_interval, most_layers);
  std::vector<LayerSpec>& layers = layers_of(spec);
  std::vector<Value> flags;
  if (const auto list = config.find({"no_rope_layers"})) flags = list->items();
  for (std::size_t i = 0; i < layers.size(); ++i)
    layers[i].rotary = i < flags.size() ? flags[i].integer(0, 1) == 1
                                        : interval == 0 || (static_cast<std::int64_t>(i) + 1) % interval != 0;
}

// Mixtures with one shared expert, all or every second layer; attention in chunks where there are positions. A window
// of a chunk's length stands for them: the same work up to one chunk, at most twice as much beyond.
void read_llama4(const HfConfig& config, TransformerSpec& spec) {
  read_biases(config, spec);
  spec.mixture = read_experts(config, {"intermediate_size"});
  spec.mixture->shared_ffn = spec.mixture->ffn;
  if (!config.flag_or({"use_qk_norm"}, true)) spec.qk_norm = QkNorm::none;
  const std::int64_t step = std::max<std::int64_t>(config.size_or({"interleave_moe_layer_step"}, 1, most_layers), 1);
  std::vector<LayerSpec>& layers = layers_of(spec);
  for (std::int64_t i = 0; i < spec.layers; ++i)
    if ((i + 1) % step != 0) layers[static_cast<std::size_t>(i)].kind = LayerKind::dense;
  if (step > 1) spec.ffn = config.size({"intermediate_size_mlp"}, most_features);
  read_llama4_positions(config, spec);
  const std::int64_t chunk = config.size_or({"attention_chunk_size"}, 0, most_vocabulary);
  for (LayerSpec& layer : layers)
    if (layer.rotary) layer.window = chunk;
}

// Each letter of the pattern is a layer: M Mamba-2, - MLP, * attention (transformers, NemotronHConfig).
void read_nemotron_h(const HfConfig& config, TransformerSpec& spec) {
  spec.qkv_bias = spec.out_bias = config.flag_or({"attention_bias"}, false);
  spec.mlp_bias = config.flag_or({"mlp_bias"}, false);
  if (const auto bias = config.find({"mamba_proj_bias"}); bias && bias->boolean())
    bias->fail("biases on Mamba's projections are not supported", "expected false");
  const Value pattern = config.at({"hybrid_override_pattern"});
  for (const char letter : pattern.text()) {
    LayerSpec layer;
    switch (letter) {
      case 'M':
        layer.kind = LayerKind::state_space;
        break;
      case '-':
        layer.kind = LayerKind::mlp_only;
        break;
      case '*':
        layer.kind = LayerKind::attention_only;
        break;
      default:
        pattern.fail(fmt::format("a layer of kind '{}'", letter), "expected M (Mamba), - (MLP) or * (attention)");
    }
    spec.layer_specs.push_back(layer);
  }
  StateSpace ssm;
  ssm.heads = config.size({"mamba_num_heads"}, most_features);
  ssm.head_dim = config.size({"mamba_head_dim"}, most_features);
  ssm.state = config.size({"ssm_state_size"}, most_features);
  ssm.groups = config.size({"n_groups", "mamba_n_groups"}, most_features);
  ssm.convolution = config.size({"conv_kernel"}, most_features);
  spec.state_space = ssm;
}

// What the modeling code of each family in huggingface/transformers fixes (models/FAMILY/modeling_FAMILY.py and the
// defaults of configuration_FAMILY.py).
constexpr auto layer_norm = NormKind::layer_norm;
constexpr auto rms_norm = NormKind::rms_norm;
constexpr auto rotary = PositionKind::rotary;
constexpr auto learned = PositionKind::learned;
constexpr auto nowhere = PositionKind::none;
constexpr auto before = NormPlacement::before;
constexpr auto after = NormPlacement::after;
constexpr auto both = NormPlacement::both;
constexpr auto no_norm = QkNorm::none;
constexpr auto per_head = QkNorm::per_head;
constexpr auto sequential = BlockOrder::sequential;
constexpr auto parallel = BlockOrder::parallel;
constexpr auto shared_norm = BlockOrder::parallel_shared_norm;
constexpr bool gated = true, plain = false, tied = true, untied = false;

// clang-format off
constexpr HfFamily families[] = {
    {"gpt2", layer_norm, learned, plain, tied, block_biases, before, no_norm, sequential, nullptr},
    {"opt", layer_norm, learned, plain, tied, block_biases, before, no_norm, sequential, read_opt},
    {"gptj", layer_norm, rotary, plain, untied, mlp_and_head_biases, before, no_norm, shared_norm, nullptr},
    {"gpt_neox", layer_norm, rotary, plain, untied, block_biases, before, no_norm, parallel, read_gpt_neox},
    {"bloom", layer_norm, nowhere, plain, tied, block_biases, before, no_norm, sequential, read_bloom},
    {"falcon", layer_norm, rotary, plain, tied, no_biases, before, no_norm, sequential, read_falcon},
    {"phi", layer_norm, rotary, plain, untied, all_biases, before, no_norm, shared_norm, nullptr},
    {"phi-msft", layer_norm, rotary, plain, untied, all_biases, before, no_norm, shared_norm, nullptr},
    {"phi3", rms_norm, rotary, gated, untied, no_biases, before, no_norm, sequential, read_mistral},
    {"llama", rms_norm, rotary, gated, untied, no_biases, before, no_norm, sequential, read_llama},
    {"llama4", rms_norm, rotary, gated, untied, no_biases, before, QkNorm::unweighted, sequential, read_llama4},
    {"llama4_text", rms_norm, rotary, gated, untied, no_biases, before, QkNorm::unweighted, sequential, read_llama4},
    {"mistral", rms_norm, rotary, gated, untied, no_biases, before, no_norm, sequential, read_mistral},
    {"mixtral", rms_norm, rotary, gated, untied, no_biases, before, no_norm, sequential, read_mixtral},
    {"gemma", rms_norm, rotary, gated, tied, no_biases, before, no_norm, sequential, read_llama},
    {"gemma2", rms_norm, rotary, gated, tied, no_biases, both, no_norm, sequential, read_gemma2},
    {"gemma3", rms_norm, rotary, gated, tied, no_biases, both, per_head, sequential, read_gemma3},
    {"gemma3_text", rms_norm, rotary, gated, tied, no_biases, both, per_head, sequential, read_gemma3},
    {"qwen2", rms_norm, rotary, gated, untied, query_biases, before, no_norm, sequential, read_qwen},
    {"qwen2_moe", rms_norm, rotary, gated, untied, query_biases, before, no_norm, sequential, read_qwen_moe},
    {"qwen3", rms_norm, rotary, gated, untied, no_biases, before, per_head, sequential, read_qwen},
    {"qwen3_moe", rms_norm, rotary, gated, untied, no_biases, before, per_head, sequential, read_qwen_moe},
    {"olmo2", rms_norm, rotary, gated, untied, no_biases, after, QkNorm::all_heads, sequential, read_llama},
    {"deepseek", rms_norm, rotary, gated, untied, no_biases, before, no_norm, sequential, read_deepseek},
    {"deepseek_v2", rms_norm, rotary, gated, untied, no_biases, before, no_norm, sequential, read_deepseek_latent},
    {"deepseek_v3", rms_norm, rotary, gated, untied, no_biases, before, no_norm, sequential, read_deepseek_latent},
    {"deepseek_v32", rms_norm, rotary, gated, untied, no_biases, before, no_norm, sequential, read_deepseek_sparse},
    {"kimi_k2", rms_norm, rotary, gated, untied, no_biases, before, no_norm, sequential, read_deepseek_latent},
    {"gpt_oss", rms_norm, rotary, gated, untied, {.qkv = true, .out = true}, before, no_norm, sequential, read_gpt_oss},
    {"nemotron_h", rms_norm, nowhere, plain, untied, no_biases, before, no_norm, sequential, read_nemotron_h},
};
// clang-format on

}  // namespace

std::optional<Value> HfConfig::find(HfNames names) const {
  for (const std::string_view name : names)
    if (auto found = value_.find(name)) return found;
  return std::nullopt;
}

Value HfConfig::at(HfNames names) const {
  if (auto found = find(names)) return *found;
  std::string aliases;
  for (const std::string_view name : names) aliases += fmt::format("{}'{}'", aliases.empty() ? "" : " or ", name);
  value_.fail(fmt::format("missing field '{}'", *names.begin()), "expected " + aliases);
}

std::int64_t HfConfig::size(HfNames names, std::int64_t most) const {
  return at(names).integer(1, most);
}

std::int64_t HfConfig::size_or(HfNames names, std::int64_t otherwise, std::int64_t most) const {
  const auto found = find(names);
  return found ? found->integer(0, most) : otherwise;
}

bool HfConfig::flag_or(HfNames names, bool otherwise) const {
  const auto found = find(names);
  return found ? found->boolean() : otherwise;
}

std::span<const HfFamily> hf_families() {
  return families;
}

}  // namespace echelon
