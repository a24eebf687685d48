#include "sim/model/transformer_layer.h"

#include "sim/base/error.h"

namespace echelon {

namespace {

using Vertex = BlockBuilder::Vertex;

double as_double(std::int64_t value) {
  return static_cast<double>(value);
}

double norm_parameters(const TransformerSpec& spec, double width) {
  if (!spec.norm_weight) return 0;
  return width * (spec.norm == NormKind::layer_norm && spec.norm_bias ? 2 : 1);
}

class LayerBuilder {
 public:
  LayerBuilder(const TransformerSpec& spec, const LayerSpec& layer, std::string name)
      : spec_(spec), layer_(layer), hidden_(as_double(spec.hidden)), block_(std::move(name), BlockRole::layer) {}

  Block build() {
    const bool both = layer_.kind == LayerKind::dense || layer_.kind == LayerKind::mixture;
    Vertex stream = BlockBuilder::block_input;
    if (layer_.kind == LayerKind::state_space) {
      add_branch("ssm", state_space(pre_norm("input_norm", stream)), stream);
    } else if (both && spec_.block_order != BlockOrder::sequential) {
      add_parallel();
    } else {
      if (both || layer_.kind == LayerKind::attention_only)
        stream = add_branch("attention", attention(pre_norm("input_norm", stream)), stream);
      if (both || layer_.kind == LayerKind::mlp_only)
        add_branch("mlp", feed_forward(pre_norm("mlp_norm", stream)), stream);
    }
    return block_.take();
  }

 private:
  Vertex pre_norm(const std::string& name, Vertex stream) {
    if (spec_.norm_placement == NormPlacement::after) return stream;
    return block_.add(norm_operator(spec_, name, hidden_), hidden_, {stream});
  }

  // The norm behind a branch where there is one, then the residual add.
  Vertex add_branch(const std::string& name, Vertex branch, Vertex stream) {
    if (spec_.norm_placement != NormPlacement::before)
      branch = block_.add(norm_operator(spec_, name + "_post_norm", hidden_), hidden_, {branch});
    return residual(name + "_residual", {branch, stream});
  }

  Vertex residual(const std::string& name, const std::vector<Vertex>& inputs) {
    return block_.add(pointwise_operator(name, OperatorKind::residual, hidden_), hidden_, inputs);
  }

  void add_parallel() {
    SIM_CHECK(spec_.norm_placement == NormPlacement::before, "parallel blocks normalise what enters them");
    const Vertex first = pre_norm("input_norm", BlockBuilder::block_input);
    // The second norm reads the block's input as well; its edge from the first keeps one entry to the block.
    const bool shared = spec_.block_order == BlockOrder::parallel_shared_norm;
    const Vertex second = shared ? first : pre_norm("mlp_norm", first);
    const Vertex attended = attention(first);
    const Vertex fed = feed_forward(second);
    residual("residual", {residual("branch_sum", {attended, fed})});
  }

  AttentionShape attention_shape() const {
    AttentionShape shape;
    shape.heads = spec_.heads;
    shape.kv_heads = spec_.latent ? spec_.heads : spec_.kv_heads;
    shape.qk_head_dim = spec_.latent ? spec_.latent->nope_dim + spec_.latent->rope_dim : spec_.head_dim;
    shape.v_head_dim = spec_.latent ? spec_.latent->v_dim : spec_.head_dim;
    // Which keys are read does not matter to the cost: the indexer's best ones are as many as a window's.
    shape.window = spec_.latent && spec_.latent->index_heads > 0 ? spec_.latent->index_keys : layer_.window;
    shape.causal = spec_.causal;
    return shape;
  }

  Vertex attention(Vertex input) {
    const Vertex projected = spec_.latent ? latent_projections(input) : grouped_projections(input);
    const AttentionShape shape = attention_shape();
    const double inner = as_double(shape.heads * shape.v_head_dim);
    Operator attend = pointwise_operator("attention", OperatorKind::attention, inner, TensorSplit::inner);
    attend.attention = shape;
    if (spec_.attention_sinks) attend.parameters = as_double(shape.heads);
    const Vertex attended = block_.add(attend, inner, {rotate(shape, projected)});
    return block_.add(linear_operator("attention_output", inner, hidden_, spec_.out_bias, TensorSplit::row),
                      {attended});
  }

  Vertex rotate(AttentionShape shape, Vertex projected) {
    if (spec_.position_kind != PositionKind::rotary || !layer_.rotary) return projected;
    if (spec_.latent) {  // the part of the head that has positions, and one key of it for all heads
      shape.qk_head_dim = spec_.latent->rope_dim;
      shape.kv_heads = 1;
    }
    const double width = as_double((shape.heads + shape.kv_heads) * shape.qk_head_dim);
    const char* name = spec_.latent ? "latent_rotary" : "rotary";
    Operator rotary = pointwise_operator(name, OperatorKind::rotary, width, TensorSplit::inner);
    rotary.attention = shape;
    rotary.scaled = spec_.scaled_rotary;
    return block_.add(rotary, width, {projected});
  }

  Vertex grouped_projections(Vertex input) {
    const double q = as_double(spec_.heads * spec_.head_dim);
    const double kv = as_double(spec_.kv_heads * spec_.head_dim);
    const Vertex vertex =
        block_.add(linear_operator("qkv", hidden_, q + 2 * kv, spec_.qkv_bias, TensorSplit::column), {input});
    const bool weightless = spec_.qk_norm == QkNorm::unweighted;  // Llama 4: only where there are positions
    if (spec_.qk_norm == QkNorm::none || (weightless && !layer_.rotary)) return vertex;
    Operator op = pointwise_operator("qk_norm", OperatorKind::norm, q + kv, TensorSplit::inner);
    op.root_mean_square = spec_.norm == NormKind::rms_norm;
    if (spec_.qk_norm == QkNorm::all_heads) op.parameters = norm_parameters(spec_, q + kv);
    if (spec_.qk_norm == QkNorm::per_head) op.parameters = 2 * norm_parameters(spec_, as_double(spec_.head_dim));
    return block_.add(op, q + 2 * kv, {vertex});
  }

  // Down-projections run whole on every rank; the up-projections are divided by heads.
  Vertex latent_projections(Vertex input) {
    SIM_CHECK(input != BlockBuilder::block_input, "latent attention needs a norm in front");
    const LatentAttention& latent = *spec_.latent;
    const double q_out = as_double(spec_.heads * (latent.nope_dim + latent.rope_dim));
    const double v_out = as_double(spec_.heads * latent.v_dim);
    const double kv_out = as_double(spec_.heads * latent.nope_dim) + v_out;
    Vertex query = input;
    if (latent.q_rank > 0) query = compressed("q", as_double(latent.q_rank), 0, input);
    const double q_in = latent.q_rank > 0 ? as_double(latent.q_rank) : hidden_;
    const Vertex chosen = latent.index_heads > 0 ? indexer(input, query) : BlockBuilder::block_input;
    const Vertex queries = block_.add(linear_operator("q_up", q_in, q_out, false, TensorSplit::column), {query});
    const double rank = as_double(latent.kv_rank);
    const Vertex common = compressed("kv", rank, as_double(latent.rope_dim), input);
    const Vertex keys = block_.add(linear_operator("kv_up", rank, kv_out, false, TensorSplit::column), {common});
    // Keys are put together from their two parts, heads times over.
    const Operator assemble = pointwise_operator("qkv_assemble", OperatorKind::residual, q_out, TensorSplit::inner);
    return block_.add(assemble, 2 * q_out + v_out, {queries, keys, chosen});
  }

  // Down-projection to `rank` features and `extra` ones that by-pass the norm.
  Vertex compressed(const std::string& name, double rank, double extra, Vertex input) {
    const Operator down =
        linear_operator(name + "_down", hidden_, rank + extra, spec_.qkv_bias, TensorSplit::replicated);
    const Vertex vertex = block_.add(down, {input});
    return block_.add(norm_operator(spec_, name + "_norm", rank), rank, {vertex});
  }

  // The lightning indexer: queries from the compressed query, one key and a weight for each index head from the hidden
  // state, a LayerNorm on the key (DeepSeek-V3.2-Exp, inference/model.py, Indexer). Every rank runs all of it.
  Vertex indexer(Vertex input, Vertex query) {
    const LatentAttention& latent = *spec_.latent;
    const double heads = as_double(latent.index_heads);
    const double dim = as_double(latent.index_dim);
    const Vertex queries = block_.add(
        linear_operator("index_query", as_double(latent.q_rank), heads * dim, false, TensorSplit::replicated), {query});
    const Vertex projected =
        block_.add(linear_operator("index_key", hidden_, dim + heads, false, TensorSplit::replicated), {input});
    Operator norm = pointwise_operator("index_key_norm", OperatorKind::norm, dim);
    norm.parameters = 2 * dim;
    const Vertex keys = block_.add(norm, dim + heads, {projected});
    Operator score = pointwise_operator("index_scores", OperatorKind::attention, heads, TensorSplit::replicated);
    score.attention.heads = latent.index_heads;
    score.attention.kv_heads = 1;
    score.attention.qk_head_dim = latent.index_dim;
    score.attention.v_head_dim = 0;  // scores are compared, not multiplied with values
    score.attention.causal = spec_.causal;
    return block_.add(score, as_double(latent.index_keys), {queries, keys});
  }

  Vertex feed_forward(Vertex input) {
    if (layer_.kind == LayerKind::mixture) return mixture(input);
    return mlp("mlp", as_double(spec_.ffn), spec_.mlp_bias, input);
  }

  Vertex mlp(const std::string& name, double ffn, bool bias, Vertex input) {
    return inner_products(name, ffn, bias, input, [](Operator op) { return op; });
  }

  Vertex routed_experts(Vertex input) {
    const MixtureOfExperts& moe = *spec_.mixture;
    return inner_products("experts", as_double(moe.ffn), moe.expert_bias, input, [&moe](Operator op) {
      if (op.kind == OperatorKind::linear) op.experts = moe.experts;
      if (op.kind == OperatorKind::activation) op.clamped = moe.expert_clamp;
      op.parameters *= as_double(moe.experts);
      op.routed = true;
      op.row_share = op.copies = as_double(moe.top_k);
      return op;
    });
  }

  // Up-projection (with the gate's, as one product), activation, down-projection; `adapt` has the last word on each.
  template <class Adapt>
  Vertex inner_products(const std::string& name, double ffn, bool bias, Vertex input, const Adapt& adapt) {
    const double up = ffn * (spec_.gated ? 2 : 1);
    const Operator widen = linear_operator(name + "_up", hidden_, up, bias, TensorSplit::column);
    Operator activate = pointwise_operator(name + "_activation", OperatorKind::activation, ffn, TensorSplit::inner);
    activate.gated = spec_.gated;
    const Operator narrow = linear_operator(name + "_down", ffn, hidden_, bias, TensorSplit::row);
    const Vertex widened = block_.add(adapt(widen), {input});
    const Vertex active = block_.add(adapt(activate), ffn, {widened});
    return block_.add(adapt(narrow), {active});
  }

  Vertex mixture(Vertex input) {
    const MixtureOfExperts& moe = *spec_.mixture;
    const double experts = as_double(moe.experts);
    const Operator router = linear_operator("router", hidden_, experts, moe.router_bias, TensorSplit::replicated);
    const Vertex logits = block_.add(router, {input});
    const Operator routing = pointwise_operator("routing", OperatorKind::router, experts, TensorSplit::replicated);
    const Vertex route = block_.add(routing, as_double(moe.top_k), {logits});
    Operator permute = pointwise_operator("dispatch", OperatorKind::permute, hidden_);
    permute.row_share = as_double(moe.top_k);
    const Vertex dispatched = block_.add(permute, hidden_, {input, route});
    const Vertex worked = routed_experts(dispatched);
    permute.name = "combine";
    const Vertex combined = block_.add(permute, hidden_, {worked, route});
    if (moe.shared_ffn == 0) return combined;
    const Vertex shared = mlp("shared_expert", as_double(moe.shared_ffn), false, input);
    Operator sum = pointwise_operator("expert_sum", OperatorKind::residual, hidden_);
    if (moe.shared_gate) sum.parameters = hidden_;
    return block_.add(sum, hidden_, {combined, shared});
  }

  // One input projection to gate, values, B, C and time steps; convolution, scan and gated norm; output projection.
  Vertex state_space(Vertex input) {
    const StateSpace& ssm = *spec_.state_space;
    const double inner = as_double(ssm.heads * ssm.head_dim);
    const double b_and_c = 2 * as_double(ssm.groups * ssm.state);
    const double projected = 2 * inner + b_and_c + as_double(ssm.heads);
    const Vertex in = block_.add(linear_operator("ssm_input", hidden_, projected, false, TensorSplit::column), {input});
    Operator scan = pointwise_operator("ssm_scan", OperatorKind::state_space, inner, TensorSplit::inner);
    // Convolution weights and bias over values, B and C; A, D and the time-step bias a head; the gated norm's weight.
    scan.parameters = (inner + b_and_c) * as_double(ssm.convolution + 1) + 3 * as_double(ssm.heads) + inner;
    // Seven FLOPs for each state feature of each inner feature, as Megatron-LM counts (megatron/training/training.py,
    // mamba_layer_flops).
    scan.state_flops = 7 * inner * as_double(ssm.state);
    const Vertex scanned = block_.add(scan, inner, {in});
    return block_.add(linear_operator("ssm_output", inner, hidden_, false, TensorSplit::row), {scanned});
  }

  const TransformerSpec& spec_;
  const LayerSpec& layer_;
  double hidden_;
  BlockBuilder block_;
};

}  // namespace

BlockBuilder::BlockBuilder(std::string name, BlockRole role) {
  block_.name = std::move(name);
  block_.role = role;
}

Vertex BlockBuilder::add(const Operator& op, double output_width, const std::vector<Vertex>& inputs) {
  const Vertex vertex = add_vertex(op, block_.graph);
  output_widths_.push_back(output_width);
  for (const Vertex input : inputs)
    if (input != block_input) add_edge(input, vertex, TensorEdge{output_widths_[input]}, block_.graph);
  return vertex;
}

Vertex BlockBuilder::add(const Operator& op, const std::vector<Vertex>& inputs) {
  const double width = op.out_features;
  return add(op, width, inputs);
}

Operator pointwise_operator(std::string name, OperatorKind kind, double width, TensorSplit split) {
  Operator op;
  op.name = std::move(name);
  op.kind = kind;
  op.split = split;
  op.width = width;
  return op;
}

Operator linear_operator(std::string name, double in, double out, bool bias, TensorSplit split) {
  Operator op;
  op.name = std::move(name);
  op.kind = OperatorKind::linear;
  op.split = split;
  op.in_features = in;
  op.out_features = out;
  op.parameters = in * out + (bias ? out : 0);
  return op;
}

Operator norm_operator(const TransformerSpec& spec, std::string name, double width) {
  Operator op = pointwise_operator(std::move(name), OperatorKind::norm, width);
  op.parameters = norm_parameters(spec, width);
  op.root_mean_square = spec.norm == NormKind::rms_norm;
  return op;
}

Block layer_block(const TransformerSpec& spec, const LayerSpec& layer, std::string name) {
  return LayerBuilder(spec, layer, std::move(name)).build();
}

}  // namespace echelon
