#include "sim/model/transformer.h"

#include <algorithm>

#include "sim/base/error.h"

namespace echelon {

namespace {

double as_double(std::int64_t value) { return static_cast<double>(value); }

// Appends operators one after another and remembers where branches start.
class BlockBuilder {
 public:
  using Vertex = boost::graph_traits<OperatorGraph>::vertex_descriptor;
  static constexpr Vertex none = static_cast<Vertex>(-1);

  BlockBuilder(std::string name, BlockRole role) {
    block_.name = std::move(name);
    block_.role = role;
  }

  Vertex add(Operator op, std::initializer_list<Vertex> inputs, double width) {
    const Vertex vertex = add_vertex(std::move(op), block_.graph);
    for (const Vertex input : inputs)
      if (input != none) add_edge(input, vertex, TensorEdge{width}, block_.graph);
    return vertex;
  }

  Block take() { return std::move(block_); }

 private:
  Block block_;
};

using Vertex = BlockBuilder::Vertex;

Operator pointwise(std::string name, OperatorKind kind, double width, TensorSplit split = TensorSplit::none) {
  Operator op;
  op.name = std::move(name);
  op.kind = kind;
  op.split = split;
  op.width = width;
  return op;
}

Operator linear(std::string name, double in, double out, bool bias, TensorSplit split) {
  Operator op;
  op.name = std::move(name);
  op.kind = OperatorKind::linear;
  op.split = split;
  op.in_features = in;
  op.out_features = out;
  op.parameters = in * out + (bias ? out : 0);
  return op;
}

class LayerBuilder {
 public:
  LayerBuilder(const TransformerSpec& spec, const LayerSpec& layer, std::string name)
      : spec_(spec), layer_(layer), hidden_(as_double(spec.hidden)), block_(std::move(name), BlockRole::layer) {}

  Block build() {
    const bool attends = layer_.kind == LayerKind::dense || layer_.kind == LayerKind::mixture || layer_.kind == LayerKind::attention_only;
    const bool feeds = layer_.kind == LayerKind::dense || layer_.kind == LayerKind::mixture || layer_.kind == LayerKind::mlp_only;
    Vertex stream = BlockBuilder::none;
    if (layer_.kind == LayerKind::state_space) return add_state_space(), block_.take();
    if (spec_.parallel_block && attends && feeds) return add_parallel(), block_.take();
    if (attends) stream = finish("attention", attention(norm("input_norm", stream)), stream);
    if (feeds) finish("mlp", feed_forward(norm("mlp_norm", stream)), stream);
    return block_.take();
  }

 private:
  double norm_parameters(double width) const {
    if (!spec_.norm_weight) return 0;
    return width * (spec_.norm == NormKind::layer_norm && spec_.norm_bias ? 2 : 1);
  }

  Operator norm_operator(const std::string& name, double width, TensorSplit split = TensorSplit::none) const {
    Operator op = pointwise(name, OperatorKind::norm, width, split);
    op.parameters = norm_parameters(width);
    return op;
  }

  Vertex norm(const std::string& name, Vertex input) {
    if (!spec_.pre_norms) {  // the stream itself enters; a norm of no width keeps one entry to the block
      return input != BlockBuilder::none ? input : block_.add(pointwise("entry", OperatorKind::residual, 0), {}, hidden_);
    }
    return block_.add(norm_operator(name, hidden_), {input}, hidden_);
  }

  // Post-norm where there is one, then the residual add.
  Vertex finish(const std::string& name, Vertex branch, Vertex stream) {
    if (spec_.post_norms || !spec_.pre_norms) branch = block_.add(norm_operator(name + "_post_norm", hidden_), {branch}, hidden_);
    return block_.add(pointwise(name + "_residual", OperatorKind::residual, hidden_), {branch, stream}, hidden_);
  }

  void add_parallel() {
    const Vertex first = norm("input_norm", BlockBuilder::none);
    const Vertex second = spec_.shared_norm ? first : block_.add(norm_operator("mlp_norm", hidden_), {first}, hidden_);
    const Vertex attended = attention(first);
    const Vertex fed = feed_forward(second);
    const Vertex sum = block_.add(pointwise("branch_sum", OperatorKind::residual, hidden_), {attended, fed}, hidden_);
    block_.add(pointwise("residual", OperatorKind::residual, hidden_), {sum}, hidden_);
  }

  AttentionShape attention_shape() const {
    AttentionShape shape;
    shape.heads = spec_.heads;
    shape.kv_heads = spec_.latent ? spec_.heads : spec_.kv_heads;
    shape.qk_head_dim = spec_.latent ? spec_.latent->nope_dim + spec_.latent->rope_dim : spec_.head_dim;
    shape.v_head_dim = spec_.latent ? spec_.latent->v_dim : spec_.head_dim;
    shape.window = layer_.window;
    shape.causal = spec_.causal;
    return shape;
  }

  Vertex core(Vertex input, double input_width) {
    const AttentionShape shape = attention_shape();
    Operator attend;
    attend.name = "attention";
    attend.kind = OperatorKind::attention;
    attend.split = TensorSplit::inner;
    attend.attention = shape;
    attend.width = as_double(shape.heads * shape.v_head_dim);
    if (spec_.attention_sinks) attend.parameters = as_double(shape.heads);
    if (spec_.position_kind == PositionKind::rotary) {
      Operator rotary = attend;
      rotary.name = "rotary";
      rotary.kind = OperatorKind::rotary;
      rotary.parameters = 0;
      if (spec_.latent) {
        rotary.attention.qk_head_dim = spec_.latent->rope_dim;
        rotary.attention.kv_heads = 1;
      }
      input = block_.add(rotary, {input}, input_width);
    }
    return block_.add(attend, {input}, input_width);
  }

  Vertex attention(Vertex input) {
    const Vertex attended = spec_.latent ? latent_attention(input) : grouped_attention(input);
    const AttentionShape shape = attention_shape();
    const double inner = as_double(shape.heads * shape.v_head_dim);
    return block_.add(linear("attention_output", inner, hidden_, spec_.out_bias, TensorSplit::row), {attended}, inner);
  }

  Vertex grouped_attention(Vertex input) {
    const double q = as_double(spec_.heads * spec_.head_dim);
    const double kv = as_double(spec_.kv_heads * spec_.head_dim);
    Vertex vertex = block_.add(linear("qkv", hidden_, q + 2 * kv, spec_.qkv_bias, TensorSplit::column), {input}, hidden_);
    if (spec_.qk_norm || spec_.qk_norm_wide) {
      Operator op = pointwise("qk_norm", OperatorKind::norm, q + kv, TensorSplit::inner);
      op.parameters = spec_.qk_norm_wide ? norm_parameters(q + kv) : 2 * norm_parameters(as_double(spec_.head_dim));
      vertex = block_.add(op, {vertex}, q + kv);
    }
    return core(vertex, q + 2 * kv);
  }

  // Down-projections run whole on every rank; the up-projections are divided by heads.
  Vertex latent_attention(Vertex input) {
    const LatentAttention& latent = *spec_.latent;
    const double q_out = as_double(spec_.heads * (latent.nope_dim + latent.rope_dim));
    const double kv_out = as_double(spec_.heads * (latent.nope_dim + latent.v_dim));
    Vertex query = input;
    double q_in = hidden_;
    if (latent.q_rank > 0) {
      q_in = as_double(latent.q_rank);
      query = block_.add(linear("q_down", hidden_, q_in, spec_.qkv_bias, TensorSplit::replicated), {input}, hidden_);
      query = block_.add(norm_operator("q_norm", q_in), {query}, q_in);
    }
    query = block_.add(linear("q_up", q_in, q_out, false, TensorSplit::column), {query}, q_in);
    const double rank = as_double(latent.kv_rank);
    Vertex keys = block_.add(linear("kv_down", hidden_, rank + as_double(latent.rope_dim), spec_.qkv_bias, TensorSplit::replicated), {input}, hidden_);
    keys = block_.add(norm_operator("kv_norm", rank), {keys}, rank);
    keys = block_.add(linear("kv_up", rank, kv_out, false, TensorSplit::column), {keys}, rank);
    const Vertex joined = block_.add(pointwise("qkv_assemble", OperatorKind::residual, q_out, TensorSplit::inner), {query, keys}, q_out);
    return core(joined, q_out + kv_out);
  }

  Vertex feed_forward(Vertex input) {
    if (layer_.kind == LayerKind::mixture) return mixture(input);
    return mlp("mlp", input, as_double(spec_.ffn), 1, false, spec_.mlp_bias);
  }

  Vertex mlp(const std::string& name, Vertex input, double ffn, std::int64_t experts, bool routed, bool bias) {
    const double count = as_double(experts);
    const double share = routed ? as_double(spec_.mixture->top_k) : 1;
    const auto prepare = [&](Operator op) {
      op.experts = experts;
      op.parameters *= count;
      op.routed = routed;
      op.row_share = share;
      return op;
    };
    const double up = ffn * (spec_.gated ? 2 : 1);
    const Vertex inner = block_.add(prepare(linear(name + "_up", hidden_, up, bias, TensorSplit::column)), {input}, hidden_);
    Operator activation = pointwise(name + "_activation", OperatorKind::activation, ffn, TensorSplit::inner);
    activation.gated = spec_.gated;
    activation.routed = routed;
    activation.row_share = share;
    const Vertex active = block_.add(activation, {inner}, up);
    return block_.add(prepare(linear(name + "_down", ffn, hidden_, bias, TensorSplit::row)), {active}, ffn);
  }

  Vertex mixture(Vertex input) {
    const MixtureOfExperts& moe = *spec_.mixture;
    const double experts = as_double(moe.experts);
    const Vertex logits = block_.add(linear("router", hidden_, experts, moe.router_bias, TensorSplit::replicated), {input}, hidden_);
    const Vertex route = block_.add(pointwise("routing", OperatorKind::router, experts, TensorSplit::replicated), {logits}, experts);
    Operator permute = pointwise("dispatch", OperatorKind::permute, hidden_);
    permute.row_share = as_double(moe.top_k);
    const Vertex dispatched = block_.add(permute, {input, route}, hidden_);
    const Vertex worked = mlp("experts", dispatched, as_double(moe.ffn), moe.experts, true, moe.expert_bias);
    permute.name = "combine";
    const Vertex combined = block_.add(permute, {worked}, hidden_);
    if (moe.shared_ffn == 0) return combined;
    const Vertex shared = mlp("shared_expert", input, as_double(moe.shared_ffn), 1, false, false);
    Operator sum = pointwise("expert_sum", OperatorKind::residual, hidden_);
    if (moe.shared_gate) sum.parameters = hidden_;
    return block_.add(sum, {combined, shared}, hidden_);
  }

  // One input projection to gate, values, B, C and time steps; convolution, scan, gated norm; output projection.
  void add_state_space() {
    const StateSpace& ssm = *spec_.state_space;
    const double inner = as_double(ssm.heads * ssm.head_dim);
    const double bc = 2 * as_double(ssm.groups * ssm.state);
    const Vertex start = norm("input_norm", BlockBuilder::none);
    const double projected = 2 * inner + bc + as_double(ssm.heads);
    const Vertex in = block_.add(linear("ssm_input", hidden_, projected, false, TensorSplit::column), {start}, hidden_);
    Operator scan = pointwise("ssm_scan", OperatorKind::state_space, inner, TensorSplit::inner);
    // Convolution weights and bias over values, B and C; A, D and the time-step bias a head; the gated norm's weight.
    scan.parameters = (inner + bc) * as_double(ssm.convolution + 1) + 3 * as_double(ssm.heads) + inner;
    // A state update and read-out of `state` features for each inner feature, two FLOPs a multiply-add (arXiv:2405.21060, section 6).
    scan.state_flops = 6 * inner * as_double(ssm.state);
    const Vertex scanned = block_.add(scan, {in}, projected);
    const Vertex out = block_.add(linear("ssm_output", inner, hidden_, false, TensorSplit::row), {scanned}, inner);
    finish("ssm", out, BlockBuilder::none);
  }

  const TransformerSpec& spec_;
  const LayerSpec& layer_;
  double hidden_;
  BlockBuilder block_;
};

Block embedding_block(const TransformerSpec& spec) {
  BlockBuilder builder("embedding", BlockRole::embedding);
  const double hidden = as_double(spec.hidden);
  Operator table;
  table.name = "token_embedding";
  table.kind = OperatorKind::embedding;
  table.split = TensorSplit::vocabulary;
  table.in_features = as_double(spec.vocabulary);
  table.out_features = hidden;
  table.width = hidden;
  table.parameters = table.in_features * hidden;
  Vertex last = builder.add(table, {}, hidden);
  if (spec.position_kind == PositionKind::learned && spec.positions > 0) {
    Operator position = pointwise("position_embedding", OperatorKind::position, hidden);
    position.parameters = as_double(spec.positions) * hidden;
    last = builder.add(position, {last}, hidden);
  }
  if (spec.embedding_norm) {
    Operator norm = pointwise("embedding_norm", OperatorKind::norm, hidden);
    norm.parameters = 2 * hidden;
    builder.add(norm, {last}, hidden);
  }
  return builder.take();
}

Block head_block(const TransformerSpec& spec) {
  BlockBuilder builder("head", BlockRole::head);
  const double hidden = as_double(spec.hidden);
  const double vocabulary = as_double(spec.vocabulary);
  Operator norm = pointwise("final_norm", OperatorKind::norm, hidden);
  norm.parameters = !spec.norm_weight ? 0 : hidden * (spec.norm == NormKind::layer_norm && spec.norm_bias ? 2 : 1);
  const Vertex normed = builder.add(norm, {}, hidden);
  Operator project = linear("output_projection", hidden, vocabulary, spec.head_bias, TensorSplit::vocabulary);
  if (spec.tied_embeddings) {
    project.transposed_of = true;
    project.parameters = spec.head_bias ? vocabulary : 0;
  }
  project.width = vocabulary;
  const Vertex logits = builder.add(project, {normed}, hidden);
  builder.add(pointwise("cross_entropy", OperatorKind::cross_entropy, vocabulary, TensorSplit::vocabulary), {logits}, vocabulary);
  return builder.take();
}

TransformerSpec completed(TransformerSpec spec) {
  if (spec.kv_heads == 0) spec.kv_heads = spec.heads;
  if (spec.head_dim == 0 && spec.heads > 0) spec.head_dim = spec.hidden / spec.heads;
  if (spec.ffn == 0) spec.ffn = 4 * spec.hidden;
  if (spec.layer_specs.empty())
    spec.layer_specs.assign(static_cast<std::size_t>(spec.layers), {spec.mixture ? LayerKind::mixture : LayerKind::dense, 0});
  SIM_CHECK(static_cast<std::int64_t>(spec.layer_specs.size()) == spec.layers, "{} layer specs for {} layers", spec.layer_specs.size(), spec.layers);
  return spec;
}

std::string block_name(const LayerSpec& layer) {
  static constexpr const char* names[] = {"dense", "mixture", "attention", "mlp", "state_space"};
  std::string name = names[static_cast<std::size_t>(layer.kind)];
  if (layer.window > 0) name += fmt::format("_window_{}", layer.window);
  return name;
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
  std::vector<LayerSpec> kinds;
  for (const LayerSpec& layer : spec.layer_specs) {
    auto known = std::find(kinds.begin(), kinds.end(), layer);
    if (known == kinds.end()) {
      model.blocks.push_back(LayerBuilder(spec, layer, block_name(layer)).build());
      known = kinds.insert(kinds.end(), layer);
    }
    model.layers.push_back(static_cast<std::int32_t>(1 + (known - kinds.begin())));
  }
  model.head = static_cast<std::int32_t>(model.blocks.size());
  model.blocks.push_back(head_block(spec));
  return model;
}

}  // namespace echelon
