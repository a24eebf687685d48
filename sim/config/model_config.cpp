#include "sim/config/model_config.h"

#include <fmt/format.h>

namespace echelon {

namespace {

enum class BiasPlaces { none, qkv, all };

}  // namespace

template <>
inline constexpr auto enum_names<BiasPlaces> = std::to_array<EnumName<BiasPlaces>>({
    {BiasPlaces::none, "none"},
    {BiasPlaces::qkv, "qkv"},
    {BiasPlaces::all, "all"},
});

namespace {

constexpr std::int64_t default_positions = 2048;  // the sequence length of arXiv:2104.04473, section 5

// A shape on its way, with what becomes layer_specs only when all keys are read.
struct ModelReading {
  TransformerSpec spec;
  LatentAttention latent;
  MixtureOfExperts mixture;
  std::int64_t window = 0;
  std::int64_t global_every = 0;
  std::int64_t first_dense_layers = 0;
  std::int64_t mixture_every = 1;
};

void set_biases(BiasPlaces places, TransformerSpec& spec) {
  spec.qkv_bias = places != BiasPlaces::none;
  spec.out_bias = spec.mlp_bias = spec.norm_bias = places == BiasPlaces::all;
}

const std::vector<Key<ModelReading>>& latent_keys() {
  const auto row = [](std::string name, std::int64_t LatentAttention::*member, std::string meaning, Presence presence) {
    return integer_key<ModelReading>(
        std::move(name), 1, most_features, [member](ModelReading& r) -> std::int64_t& { return r.latent.*member; },
        std::move(meaning), presence);
  };
  static const std::vector<Key<ModelReading>> keys = {
      row("q_rank", &LatentAttention::q_rank, "rank of the queries' compression; absent: none", Presence::optional),
      row("kv_rank", &LatentAttention::kv_rank, "rank of the compression of keys and values", Presence::required),
      row("nope_dim", &LatentAttention::nope_dim, "head features without position", Presence::required),
      row("rope_dim", &LatentAttention::rope_dim, "head features with rotary position", Presence::required),
      row("v_dim", &LatentAttention::v_dim, "value features of a head", Presence::required),
  };
  return keys;
}

const std::vector<Key<ModelReading>>& mixture_keys() {
  const auto row = [](std::string name, std::int64_t MixtureOfExperts::*member, std::string meaning,
                      Presence presence) {
    return integer_key<ModelReading>(
        std::move(name), 1, most_features, [member](ModelReading& r) -> std::int64_t& { return r.mixture.*member; },
        std::move(meaning), presence);
  };
  static const std::vector<Key<ModelReading>> keys = {
      row("experts", &MixtureOfExperts::experts, "routed experts of a layer", Presence::required),
      row("top_k", &MixtureOfExperts::top_k, "routed experts of a token", Presence::required),
      row("ffn", &MixtureOfExperts::ffn, "inner width of one expert; default: the model's ffn", Presence::optional),
      row("shared_ffn", &MixtureOfExperts::shared_ffn, "inner width of all shared experts together; default: none",
          Presence::optional),
      integer_key<ModelReading>("first_dense_layers", 0, most_layers, &ModelReading::first_dense_layers,
                                "leading layers with a dense MLP (default 0)"),
      integer_key<ModelReading>("every", 1, most_layers, &ModelReading::mixture_every,
                                "after those, every n-th layer is a mixture, the n-th first (default 1)"),
  };
  return keys;
}

void read_latent(const Value& value, ModelReading& reading) {
  read_keys(value, latent_keys(), reading);
  reading.spec.latent = reading.latent;
}

void read_mixture(const Value& value, ModelReading& reading) {
  read_keys(value, mixture_keys(), reading);
  reading.spec.mixture = reading.mixture;
}

Key<ModelReading> size_key(std::string name, std::int64_t most, std::int64_t TransformerSpec::*member,
                           std::string meaning, Presence presence = Presence::optional) {
  return integer_key<ModelReading>(
      std::move(name), 1, most, [member](ModelReading& r) -> std::int64_t& { return r.spec.*member; },
      std::move(meaning), presence);
}

Key<ModelReading> flag_key(std::string name, bool TransformerSpec::*member, std::string meaning) {
  return boolean_key<ModelReading>(
      std::move(name), [member](ModelReading& r) -> bool& { return r.spec.*member; }, std::move(meaning));
}

const std::vector<Key<ModelReading>>& model_keys() {
  using Spec = TransformerSpec;
  static const std::vector<Key<ModelReading>> keys = {
      {{"echelon", R"({"const":1})", "version of this document's schema, in a file of its own"},
       [](const Value& value, ModelReading&) { value.integer(1, 1); }},
      text_key<ModelReading>(
          "name", [](ModelReading& r) -> std::string& { return r.spec.name; }, "name for reports"),
      text_key<ModelReading>(
          "source", [](ModelReading& r) -> std::string& { return r.spec.source; }, "where the shape was published"),
      size_key("layers", most_layers, &Spec::layers, "transformer layers", Presence::required),
      size_key("hidden", most_features, &Spec::hidden, "features of a token between layers", Presence::required),
      size_key("heads", most_features, &Spec::heads, "query heads", Presence::required),
      size_key("vocabulary", most_vocabulary, &Spec::vocabulary, "rows of the embedding table, padding included",
               Presence::required),
      size_key("kv_heads", most_features, &Spec::kv_heads, "heads of keys and values (default: heads)"),
      size_key("head_dim", most_features, &Spec::head_dim, "features of a head (default: hidden / heads)"),
      size_key("ffn", most_features, &Spec::ffn, "inner width of the MLP (default: 4 hidden)"),
      flag_key("gated", &Spec::gated, "gated MLP such as SwiGLU: a second inner projection (default false)"),
      enum_key<NormKind, ModelReading>(
          "norm", [](ModelReading& r) -> NormKind& { return r.spec.norm; }, "kind of norms (default layer_norm)"),
      {{"biases", enum_type<BiasPlaces>(), "linear layers with biases; LayerNorm too where all (default all)"},
       [](const Value& value, ModelReading& r) { set_biases(value.one_of<BiasPlaces>(), r.spec); }},
      enum_key<PositionKind, ModelReading>(
          "positions", [](ModelReading& r) -> PositionKind& { return r.spec.position_kind; },
          "how tokens know their place; none also for ALiBi (default learned)"),
      size_key("max_positions", most_vocabulary, &Spec::positions, "rows of learned positions (default 2048)"),
      flag_key("scaled_rotary", &Spec::scaled_rotary,
               "sines and cosines of rotary positions are times a factor, as YaRN's are (default false)"),
      flag_key("tied_embeddings", &Spec::tied_embeddings,
               "output projection and embedding share a table (default true)"),
      integer_key<ModelReading>("window", 1, most_vocabulary, &ModelReading::window,
                                "tokens that attention looks back at (default: all)"),
      integer_key<ModelReading>("global_every", 1, most_layers, &ModelReading::global_every,
                                "every n-th layer has no window, the n-th first (default: none)"),
      {{"moe", object_type_of(mixture_keys()), "mixture of experts in place of the MLP"}, read_mixture},
      {{"mla", object_type_of(latent_keys()), "multi-head latent attention"}, read_latent},
  };
  return keys;
}

std::vector<LayerSpec> layers_of(const ModelReading& reading) {
  std::vector<LayerSpec> layers;
  for (std::int64_t i = 0; i < reading.spec.layers; ++i) {
    LayerSpec layer;
    const bool global = reading.global_every > 0 && (i + 1) % reading.global_every == 0;
    if (!global) layer.window = reading.window;
    const std::int64_t after_dense = i - reading.first_dense_layers;
    if (reading.spec.mixture && after_dense >= 0 && (after_dense + 1) % reading.mixture_every == 0)
      layer.kind = LayerKind::mixture;
    layers.push_back(layer);
  }
  return layers;
}

void check_keys_that_need_others(const Value& value, const ModelReading& reading) {
  if (reading.global_every > 0 && reading.window == 0)
    value.at("global_every").fail("global_every without a window", "expected 'window' as well");
  if (reading.spec.positions > 0 && reading.spec.position_kind != PositionKind::learned)
    value.at("max_positions").fail("max_positions without learned positions", "expected 'positions: learned'");
  if (reading.spec.scaled_rotary && reading.spec.position_kind != PositionKind::rotary)
    value.at("scaled_rotary").fail("scaled_rotary without rotary positions", "expected 'positions: rotary'");
  if (reading.spec.mixture && reading.first_dense_layers > reading.spec.layers)
    value.at("moe")
        .at("first_dense_layers")
        .fail(fmt::format("{} dense layers of {}", reading.first_dense_layers, reading.spec.layers),
              "expected at most 'layers'");
}

struct Misfit {
  bool wrong;
  std::string what;
  std::string right;
};

}  // namespace

void check_transformer(const TransformerSpec& spec, const Value& where) {
  const std::int64_t kv_heads = spec.kv_heads > 0 ? spec.kv_heads : spec.heads;
  const bool splits = spec.head_dim == 0 && !spec.latent;
  const MixtureOfExperts moe = spec.mixture.value_or(MixtureOfExperts{});
  const Misfit misfits[] = {
      {splits && spec.hidden % spec.heads != 0,
       fmt::format("{} heads do not divide {} features", spec.heads, spec.hidden),
       "expected a divisor, or the size of a head"},
      {kv_heads > spec.heads || spec.heads % kv_heads != 0,
       fmt::format("{} heads of keys and values for {} query heads", kv_heads, spec.heads), "expected a divisor"},
      {moe.top_k > moe.experts, fmt::format("{} experts a token of {}", moe.top_k, moe.experts),
       "expected no more than there are"},
      {spec.latent && spec.latent->index_heads > 0 && spec.latent->q_rank == 0,
       "an indexer without a compression of queries", "expected q_lora_rank"},
      {!spec.layer_specs.empty() && static_cast<std::int64_t>(spec.layer_specs.size()) != spec.layers,
       fmt::format("kinds of {} layers for {} layers", spec.layer_specs.size(), spec.layers),
       "expected one for each layer"},
  };
  for (const Misfit& misfit : misfits)
    if (misfit.wrong) where.fail(misfit.what, misfit.right);
}

TransformerSpec transformer_from_yaml(const Value& value) {
  ModelReading reading;
  read_keys(value, model_keys(), reading);
  TransformerSpec& spec = reading.spec;
  check_keys_that_need_others(value, reading);
  if (spec.position_kind == PositionKind::learned && spec.positions == 0) spec.positions = default_positions;
  if (spec.mixture && spec.mixture->ffn == 0) spec.mixture->ffn = spec.ffn > 0 ? spec.ffn : 4 * spec.hidden;
  spec.layer_specs = layers_of(reading);
  if (spec.source.empty()) spec.source = value.where().file;
  check_transformer(spec, value);
  return spec;
}

std::string transformer_type() {
  return object_type_of(model_keys());
}

}  // namespace echelon
