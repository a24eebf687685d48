// The block of one kind of layer of a transformer: part of build_transformer (sim/model/transformer.h), private to the
// model room.
//
// A layer reads the stream x and returns it: x + attention(norm(x)), then x + mlp(norm(x)), or both in parallel. The
// entry vertex reads the layer's input; that the first residual add reads it too goes without an edge, so that a block
// has one entry.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sim/model/transformer.h"

namespace echelon {

// Collects operators one after another: what is added later may read what came before.
class BlockBuilder {
 public:
  using Vertex = boost::graph_traits<OperatorGraph>::vertex_descriptor;
  static constexpr Vertex block_input = static_cast<Vertex>(-1);  // the stream that enters the block: no edge

  BlockBuilder(std::string name, BlockRole role);

  // Adds an operator that reads the outputs of `inputs` and makes `output_width` features a token.
  Vertex add(const Operator& op, double output_width, const std::vector<Vertex>& inputs);
  // The same for a linear layer, which makes `out_features`.
  Vertex add(const Operator& op, const std::vector<Vertex>& inputs);
  Block take() { return std::move(block_); }

 private:
  Block block_;
  std::vector<double> output_widths_;
};

// An operator that works on `width` features of a token and has no parameters.
Operator pointwise_operator(std::string name, OperatorKind kind, double width, TensorSplit split = TensorSplit::none);
Operator linear_operator(std::string name, double in, double out, bool bias, TensorSplit split);
// A norm over `width` features with the parameters of the spec's kind of norm.
Operator norm_operator(const TransformerSpec& spec, std::string name, double width);

// `spec` must have its zero defaults resolved.
Block layer_block(const TransformerSpec& spec, const LayerSpec& layer, std::string name);

}  // namespace echelon
