#include "sim/interop/hf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "sim/config/model_config.h"
#include "sim/interop/hf_families.h"

namespace echelon {

namespace {

std::string known_types() {
  std::string text;
  for (const std::string& type : hf_model_types()) text += (text.empty() ? "" : ", ") + type;
  return text;
}

const HfFamily* find_family(std::string_view type) {
  for (const HfFamily& family : hf_families())
    if (family.model_type == type) return &family;
  return nullptr;
}

const HfFamily& family_of(const Value& type) {
  const std::string name = type.text();
  if (const HfFamily* family = find_family(name)) return *family;
  const auto near = nearest(name, hf_model_types());
  type.fail(fmt::format("model_type '{:.40}' is not known", name),
            (near ? fmt::format("did you mean '{}'? ", *near) : "") + "known: " + known_types());
}

// The part that holds the language model's shape: `text_config` of a multimodal model, or the whole.
Value language_model(const Value& root) {
  auto text = root.find("text_config");
  if (!text) return root;
  text->accept_unknown();
  return *text;
}

// A nested config may leave its own type out; then the outer one counts.
Value type_of(const Value& root, const Value& model) {
  if (auto type = model.find("model_type")) return *type;
  if (auto type = root.find("model_type")) return *type;
  root.fail("missing field 'model_type'", "expected one of: " + known_types());
}

// The file's stem, or the folder of a file called config.json.
std::string name_from(const std::string& file) {
  const std::filesystem::path path(file);
  return (path.filename() == "config.json" ? path.parent_path().filename() : path.stem()).string();
}

TransformerSpec family_defaults(const HfFamily& family) {
  TransformerSpec spec;
  spec.norm = family.norm;
  spec.norm_bias = family.norm == NormKind::layer_norm;
  spec.norm_placement = family.norm_placement;
  spec.qk_norm = family.qk_norm;
  spec.block_order = family.block_order;
  spec.position_kind = family.positions;
  spec.gated = family.gated;
  spec.qkv_bias = family.biases.qkv;
  spec.out_bias = family.biases.out;
  spec.mlp_bias = family.biases.mlp;
  spec.head_bias = family.biases.head;
  return spec;
}

// YaRN's factor on sines and cosines: attention_factor where it is given; else 0.1 mscale ln(factor) + 1 over the same
// of mscale_all_dim, which is 1 where the two are equal; without either of them 0.1 ln(factor) + 1 (transformers
// modeling_rope_utils.py, whose fifth version calls the mapping rope_parameters).
bool scales_rotary(const HfConfig& config) {
  const auto scaling = config.find({"rope_scaling", "rope_parameters"});
  if (!scaling || !scaling->is_mapping()) return false;
  auto type = scaling->find("rope_type");
  if (!type) type = scaling->find("type");
  if (!type || type->text() != "yarn") return false;
  if (const auto given = scaling->find("attention_factor")) return given->number() != 1;
  const auto factor = scaling->find("factor");
  if (!factor || factor->number() <= 1) return false;
  const auto own = scaling->find("mscale");
  const auto all = scaling->find("mscale_all_dim");
  return !own || !all || own->number() != all->number();
}

// Fields that every family has, by the names that they go by.
void read_common(const HfConfig& config, bool tied, TransformerSpec& spec) {
  spec.hidden = config.size({"hidden_size", "n_embd", "d_model"}, most_features);
  spec.layers = config.size({"num_hidden_layers", "n_layer"}, most_layers);
  spec.heads = config.size({"num_attention_heads", "n_head"}, most_features);
  spec.kv_heads = config.size_or({"num_key_value_heads", "num_kv_heads", "n_head_kv"}, spec.heads, most_features);
  spec.head_dim = config.size_or({"head_dim", "attention_head_dim"}, 0, most_features);
  spec.ffn = config.size_or({"intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"}, 4 * spec.hidden,
                            4 * most_features);
  spec.vocabulary = config.size({"vocab_size"}, most_vocabulary);
  spec.tied_embeddings = config.flag_or({"tie_word_embeddings"}, tied);
  spec.scaled_rotary = spec.position_kind == PositionKind::rotary && scales_rotary(config);
  if (spec.position_kind == PositionKind::learned)
    spec.positions = config.size({"max_position_embeddings", "n_positions"}, most_vocabulary);
}

}  // namespace

std::vector<std::string> hf_model_types() {
  std::vector<std::string> types;
  for (const HfFamily& family : hf_families()) types.emplace_back(family.model_type);
  return types;
}

TransformerSpec transformer_from_hf(const Value& root) {
  root.accept_unknown();
  const Value model = language_model(root);
  const HfFamily& family = family_of(type_of(root, model));
  const HfConfig config(model);
  TransformerSpec spec = family_defaults(family);
  read_common(config, family.tied, spec);
  if (family.refine != nullptr) family.refine(config, spec);
  check_transformer(spec, model);
  spec.source = root.where().file;
  spec.name = name_from(spec.source);
  return spec;
}

}  // namespace echelon
