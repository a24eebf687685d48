#include "sim/model/transformer.h"

#include <algorithm>
#include <array>

#include "sim/base/error.h"
#include "sim/model/transformer_layer.h"

namespace echelon {

namespace {

using Vertex = BlockBuilder::Vertex;

Block embedding_block(const TransformerSpec& spec) {
  BlockBuilder builder("embedding", BlockRole::embedding);
  const double hidden = static_cast<double>(spec.hidden);
  Operator table = pointwise_operator("token_embedding", OperatorKind::embedding, hidden, TensorSplit::vocabulary);
  table.in_features = static_cast<double>(spec.vocabulary);
  table.out_features = hidden;
  table.parameters = table.in_features * hidden;
  Vertex last = builder.add(table, {});
  if (spec.position_kind == PositionKind::learned) {
    Operator position = pointwise_operator("position_embedding", OperatorKind::position, hidden);
    position.parameters = static_cast<double>(spec.positions) * hidden;
    last = builder.add(position, hidden, {last});
  }
  if (spec.embedding_norm) builder.add(norm_operator(spec, "embedding_norm", hidden), hidden, {last});
  return builder.take();
}

Block head_block(const TransformerSpec& spec) {
  BlockBuilder builder("head", BlockRole::head);
  const double hidden = static_cast<double>(spec.hidden);
  const double vocabulary = static_cast<double>(spec.vocabulary);
  const Vertex normed = builder.add(norm_operator(spec, "final_norm", hidden), hidden, {});
  Operator project = linear_operator("output_projection", hidden, vocabulary, spec.head_bias, TensorSplit::vocabulary);
  project.width = vocabulary;
  if (spec.tied_embeddings) {
    project.transposed_of = true;
    project.parameters -= hidden * vocabulary;
  }
  const Vertex logits = builder.add(project, {normed});
  builder.add(pointwise_operator("cross_entropy", OperatorKind::cross_entropy, vocabulary, TensorSplit::vocabulary), 1,
              {logits});
  return builder.take();
}

void check_layers(const TransformerSpec& spec) {
  SIM_CHECK(static_cast<std::int64_t>(spec.layer_specs.size()) == spec.layers, "{} layer specs for {} layers",
            spec.layer_specs.size(), spec.layers);
  for (const LayerSpec& layer : spec.layer_specs) {
    SIM_CHECK(layer.kind != LayerKind::mixture || spec.mixture, "a mixture layer without the shape of its experts");
    SIM_CHECK(layer.kind != LayerKind::state_space || spec.state_space, "a Mamba layer without its shape");
  }
}

TransformerSpec completed(TransformerSpec spec) {
  SIM_CHECK(spec.layers > 0 && spec.hidden > 0 && spec.heads > 0 && spec.vocabulary > 0, "a model without size");
  if (spec.kv_heads == 0) spec.kv_heads = spec.heads;
  if (spec.head_dim == 0) spec.head_dim = spec.hidden / spec.heads;
  if (spec.ffn == 0) spec.ffn = 4 * spec.hidden;
  if (spec.layer_specs.empty()) {
    LayerSpec layer;
    if (spec.mixture) layer.kind = LayerKind::mixture;
    spec.layer_specs.assign(static_cast<std::size_t>(spec.layers), layer);
  }
  check_layers(spec);
  return spec;
}

std::string block_name(const LayerSpec& layer) {
  static constexpr std::array<std::string_view, 5> names = {"dense", "mixture", "attention", "mlp", "state_space"};
  std::string name(names[static_cast<std::size_t>(layer.kind)]);
  if (layer.window > 0) name += fmt::format("_window_{}", layer.window);
  if (!layer.rotary) name += "_no_positions";
  return name;
}

// Blocks for the distinct kinds of layers, in the order in which they occur first.
void add_layers(const TransformerSpec& spec, Model& model) {
  const auto first = static_cast<std::int32_t>(model.blocks.size());
  std::vector<LayerSpec> kinds;
  for (const LayerSpec& layer : spec.layer_specs) {
    auto known = std::find(kinds.begin(), kinds.end(), layer);
    if (known == kinds.end()) {
      model.blocks.push_back(layer_block(spec, layer, block_name(layer)));
      known = kinds.insert(kinds.end(), layer);
    }
    model.layers.push_back(first + static_cast<std::int32_t>(known - kinds.begin()));
  }
}

}  // namespace

Model build_transformer(const TransformerSpec& given) {
  const TransformerSpec spec = completed(given);
  Model model;
  model.name = spec.name;
  model.source = spec.source;
  model.hidden = spec.hidden;
  model.heads = spec.heads;
  model.kv_heads = spec.kv_heads;
  model.vocabulary = spec.vocabulary;
  model.tied_embeddings = spec.tied_embeddings;
  if (spec.mixture) {
    model.experts = spec.mixture->experts;
    model.experts_per_token = spec.mixture->top_k;
  }
  model.embedding = 0;
  model.blocks.push_back(embedding_block(spec));
  add_layers(spec, model);
  model.head = static_cast<std::int32_t>(model.blocks.size());
  model.blocks.push_back(head_block(spec));
  return model;
}

}  // namespace echelon
