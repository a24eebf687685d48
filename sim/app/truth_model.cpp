#include "sim/app/truth_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "sim/app/truth_words.h"

namespace echelon {

namespace {

// Models whose shape no column can say, by words in the model's name; the rest of the line is a file of
// scenarios/models.
struct NamedShape {
  std::string_view words;
  std::string_view model;
};

constexpr auto named_shapes = std::to_array<NamedShape>({
    {"deepseek-v3.2", "deepseek-v3.2"},
    {"deepseek-v3", "deepseek-v3"},
    {"deepseekv3", "deepseek-v3"},
    {"deepseek_v3", "deepseek-v3"},
    {"deepseek-r1", "deepseek-r1"},
    {"deepseek-v2-lite", "deepseek-v2-lite"},
    {"deepseek-v2", "deepseek-v2"},
    {"deepseek_v2", "deepseek-v2"},
    {"deepseek-moe-16b", "deepseek-moe-16b"},
    {"qwen3-30b-a3b", "qwen3-30b-a3b"},
    {"qwen3_30b", "qwen3-30b-a3b"},
    {"qwen3-235b-a22b", "qwen3-235b-a22b"},
    {"qwen3_235b", "qwen3-235b-a22b"},
    {"qwen3-coder-480b", "qwen3-coder-480b-a35b"},
    {"qwen1.5-moe", "qwen1.5-moe-a2.7b"},
    {"gpt-oss-120b", "gpt-oss-120b"},
    {"gpt_oss_120b", "gpt-oss-120b"},
    {"gpt-oss-20b", "gpt-oss-20b"},
    {"kimi-k2", "kimi-k2"},
    {"kimi_k2", "kimi-k2"},
    {"mixtral-8x22b", "mixtral-8x22b"},
    {"mixtral 8x22b", "mixtral-8x22b"},
    {"mixtral-8x7b", "mixtral-8x7b"},
    {"mixtral 8x7b", "mixtral-8x7b"},
    {"llama4-maverick", "llama-4-maverick"},
    {"llama-4-maverick", "llama-4-maverick"},
    {"llama4-scout", "llama-4-scout"},
    {"llama-4-scout", "llama-4-scout"},
});

// Names of models that are no dense transformer and have no file here: never to be taken for one.
constexpr auto unknown_mixtures = std::to_array<std::string_view>({
    "deepseek",
    "nemotron_3_",
    "nemotron-3-",
    "nemotron-h",
    "mamba",
    "moe",
    "mixtral",
    "-a3b",
    "-a22b",
    "-a37b",
    "llama4",
    "llama-4",
});

// Dense models that sources call by name alone. NVIDIA NeMo-Framework-Launcher, launcher_scripts/conf/training/gpt3 and
// nemotron (*.yaml).
struct PublishedShape {
  std::string_view words;
  std::int64_t layers;
  std::int64_t hidden;
  std::int64_t ffn;
  std::int64_t heads;
  std::int64_t vocabulary;
};

constexpr auto published_shapes = std::to_array<PublishedShape>({
    {"gpt3-5b", 24, 4096, 16384, 32, 51200},
    {"gpt3-20b", 44, 6144, 24576, 48, 51200},
    {"nemotron-8b", 32, 4096, 16384, 32, 256000},
});

enum class Biases { none, queries, all };  // on which linear layers

// What a family's name says of the parts that columns do not name.
struct Family {
  std::string_view words;  // in the model's name
  bool gated;
  NormKind norm;
  Biases biases;
  PositionKind positions;  // ALiBi adds no parameters and no kernel: none
  bool tied;
};

constexpr auto families = std::to_array<Family>({
    {"nemotron", false, NormKind::layer_norm, Biases::none, PositionKind::rotary,
     false},  // squared ReLU, arXiv:2402.16819
    {"bloom", false, NormKind::layer_norm, Biases::all, PositionKind::none, true},
    {"mpt", false, NormKind::layer_norm, Biases::all, PositionKind::learned, true},  // llm-foundry's pretrain yamls
    {"opt", false, NormKind::layer_norm, Biases::all, PositionKind::learned, true},
    {"glm-130b", true, NormKind::layer_norm, Biases::all, PositionKind::rotary, true},  // GeGLU, arXiv:2210.02414
    {"gpt-neox", false, NormKind::layer_norm, Biases::all, PositionKind::rotary, false},
    {"falcon", false, NormKind::layer_norm, Biases::none, PositionKind::rotary, true},
    {"llama", true, NormKind::rms_norm, Biases::none, PositionKind::rotary, false},
    {"mistral", true, NormKind::rms_norm, Biases::none, PositionKind::rotary, false},
    {"qwen2", true, NormKind::rms_norm, Biases::queries, PositionKind::rotary, false},
    {"qwen", true, NormKind::rms_norm, Biases::none, PositionKind::rotary, false},
    {"gemma", true, NormKind::rms_norm, Biases::none, PositionKind::rotary, true},
    {"yi-", true, NormKind::rms_norm, Biases::none, PositionKind::rotary, false},
    {"gpt", false, NormKind::layer_norm, Biases::all, PositionKind::learned, true},
    {"mt-nlg", false, NormKind::layer_norm, Biases::all, PositionKind::learned, true},
});

const Family& family_of(const TruthRow& row, std::vector<std::string>& assumptions) {
  const std::string name = lower_case(row.model);
  for (const Family& family : families)
    if (name.find(family.words) != std::string::npos) return family;
  // A name that tells nothing: an ffn of four times the hidden size is GPT's, any other is a gated one.
  const bool gated = row.ffn && row.hidden && *row.ffn != 4 * *row.hidden;
  const std::string_view words = gated ? "llama" : "gpt";
  assumptions.push_back(fmt::format("model '{}' is not known: built as {}", row.model, words));
  return *std::find_if(families.begin(), families.end(), [&](const Family& f) { return f.words == words; });
}

std::int64_t rounded_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Layers from the printed size where the source leaves them out: 12 h^2 of weights a layer (arXiv:2104.04473, equation
// 2) beside the embedding, in whole layers for each stage. Nothing where that misses the printed size by more than 4 %.
std::optional<std::int64_t> layers_from_size(const TruthRow& row, std::int64_t vocabulary) {
  if (!row.params_b || !row.hidden) return std::nullopt;
  const auto hidden = static_cast<double>(*row.hidden);
  const double embedding = static_cast<double>(vocabulary) * hidden;
  const double layer = 12 * hidden * hidden;
  const std::int64_t stages = row.pp.value_or(1);
  const std::int64_t each = std::llround((*row.params_b * 1e9 - embedding) / layer / static_cast<double>(stages));
  const double size = static_cast<double>(each * stages) * layer + embedding;
  constexpr double tolerance = 0.04;
  if (each < 1 || std::abs(size / (*row.params_b * 1e9) - 1) > tolerance) return std::nullopt;
  return each * stages;
}

// Heads where the source leaves them out: a multiple of tp that divides the hidden size, the head nearest to 128 wide.
std::int64_t usual_heads(std::int64_t hidden, std::int64_t tensor) {
  std::int64_t best = tensor;
  const auto distance = [&](std::int64_t heads) {
    return std::abs(static_cast<double>(hidden) / static_cast<double>(heads) - 128);
  };
  for (std::int64_t heads = tensor; heads <= hidden; heads += tensor)
    if (hidden % heads == 0 && distance(heads) < distance(best)) best = heads;
  return best;
}

const PublishedShape* published_shape(const std::string& name) {
  for (const PublishedShape& shape : published_shapes)
    if (name.find(shape.words) != std::string::npos) return &shape;
  return nullptr;
}

// The row with the blanks of its shape filled; a refusal names the column that stays blank.
std::optional<Infeasible> fill_shape(TruthRow& row, const SourceConvention& convention,
                                     std::vector<std::string>& assumptions) {
  if (const PublishedShape* known = published_shape(lower_case(row.model)); known != nullptr && !row.layers) {
    row.layers = known->layers;
    row.hidden = known->hidden;
    row.ffn = known->ffn;
    row.heads = known->heads;
    row.vocab = row.vocab.value_or(known->vocabulary);
    assumptions.push_back(fmt::format("shape of {} as NVIDIA's training configuration has it", known->words));
  }
  if (!row.hidden) return Infeasible{fmt::format("hidden is not stated for model '{}'", row.model)};
  if (!row.vocab && convention.vocabulary > 0) row.vocab = convention.vocabulary;
  if (!row.vocab) {
    constexpr std::int64_t gpt2_vocabulary = 50257;  // the tokenizer of Megatron-LM's GPT examples
    row.vocab = gpt2_vocabulary;
    assumptions.emplace_back("vocab is not stated: GPT-2's 50257");
  }
  if (!row.layers) {
    row.layers = layers_from_size(row, *row.vocab);
    if (!row.layers) return Infeasible{fmt::format("layers is not stated for model '{}'", row.model)};
    assumptions.push_back(
        fmt::format("layers is not stated: {} from the printed {} billion parameters", *row.layers, *row.params_b));
  }
  if (!row.heads) {
    row.heads = usual_heads(*row.hidden, row.tp.value_or(1));
    assumptions.push_back(fmt::format("heads is not stated: {}", *row.heads));
  }
  return std::nullopt;
}

void set_family(const Family& family, std::int64_t sequence, TransformerSpec& spec) {
  spec.gated = family.gated;
  spec.norm = family.norm;
  spec.norm_bias = family.norm == NormKind::layer_norm && family.biases == Biases::all;
  spec.qkv_bias = family.biases != Biases::none;
  spec.out_bias = spec.mlp_bias = family.biases == Biases::all;
  spec.position_kind = family.positions;
  spec.positions = family.positions == PositionKind::learned ? sequence : 0;
  spec.tied_embeddings = family.tied;
}

TransformerSpec dense_shape(const TruthRow& row, const SourceConvention& convention,
                            std::vector<std::string>& assumptions) {
  TransformerSpec spec;
  set_family(family_of(row, assumptions), row.seq_len.value_or(0), spec);
  spec.name = row.model;
  spec.source = row.url_or_path;
  spec.layers = *row.layers;
  spec.hidden = *row.hidden;
  spec.heads = *row.heads;
  spec.kv_heads = row.kv_heads.value_or(*row.heads);
  spec.ffn = row.ffn.value_or(4 * *row.hidden);
  spec.vocabulary = *row.vocab;
  spec.embedding_norm = mentions(row.model, "bloom");
  const std::string source = lower_case(row.source + " " + row.notes);
  // nanotron's benchmark script ties; the zero-bubble fork's scripts and Vocabulary Parallelism do not.
  if (convention.framework == FrameworkKind::nanotron) spec.tied_embeddings = true;
  if (source.find("zero bubble") != std::string::npos || source.find("untied") != std::string::npos)
    spec.tied_embeddings = false;
  return spec;
}

// Cuts a configuration to `layers` of its first ones; of the dense layers that lead, only the last `leading_dense`
// stay.
void cut_layers(TransformerSpec& spec, std::int64_t layers, std::optional<std::int64_t> leading_dense) {
  auto& kinds = spec.layer_specs;
  if (!kinds.empty() && leading_dense) {
    const auto mixture = std::find_if(kinds.begin(), kinds.end(),
                                      [](const LayerSpec& layer) { return layer.kind == LayerKind::mixture; });
    const auto surplus = std::max<std::int64_t>(0, (mixture - kinds.begin()) - *leading_dense);
    kinds.erase(kinds.begin(), kinds.begin() + surplus);
  }
  if (!kinds.empty()) kinds.resize(std::min(kinds.size(), static_cast<std::size_t>(layers)));
  spec.layers = kinds.empty() ? layers : static_cast<std::int64_t>(kinds.size());
}

const NamedShape* named_shape(const std::string& name) {
  for (const NamedShape& shape : named_shapes)
    if (name.find(shape.words) != std::string::npos) return &shape;
  return nullptr;
}

// A configuration by name, cut to the row's layers; "1 dense layer" in the notes says how the cut begins.
std::variant<TransformerSpec, Infeasible> cut_shape(const TruthRow& row, const NamedShape& named,
                                                    const ShapeSource& shapes, std::vector<std::string>& assumptions) {
  auto spec = shapes(std::string(named.model));
  if (!spec)
    return Infeasible{
        fmt::format("model '{}' needs the configuration '{}', which is not there", row.model, named.model)};
  assumptions.push_back(fmt::format("shape of configuration {}", named.model));
  if (row.layers && *row.layers < spec->layers) {
    constexpr std::int64_t one = 1;
    cut_layers(*spec, *row.layers, mentions(row.notes, "1 dense layer") ? std::optional(one) : std::nullopt);
  }
  return *spec;
}

}  // namespace

std::variant<TransformerSpec, Infeasible> shape_of(const TruthRow& row, const SourceConvention& convention,
                                                   const ShapeSource& shapes, std::vector<std::string>& assumptions) {
  const std::string name = lower_case(row.model);
  std::optional<TransformerSpec> spec;
  if (const NamedShape* named = named_shape(name)) {
    auto cut = cut_shape(row, *named, shapes, assumptions);
    if (const auto* refusal = std::get_if<Infeasible>(&cut)) return *refusal;
    spec = std::get<TransformerSpec>(cut);
  } else {
    for (const auto words : unknown_mixtures)
      if (name.find(words) != std::string::npos)
        return Infeasible{
            fmt::format("model '{}' is no dense transformer, and its configuration is not known", row.model)};
    TruthRow filled = row;
    if (auto refusal = fill_shape(filled, convention, assumptions)) return *refusal;
    spec = dense_shape(filled, convention, assumptions);
  }
  constexpr std::int64_t megatron_multiple = 128;  // --make-vocab-size-divisible-by
  if (convention.megatron_vocabulary)
    spec->vocabulary = rounded_up(spec->vocabulary, megatron_multiple * row.tp.value_or(1));
  return *spec;
}

}  // namespace echelon
