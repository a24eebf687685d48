// One operator of a graph model as its author writes it: what it is and its sizes. Shapes of tensors are those of one
// sample: [channels, height, width], [positions, features] or [features]; embeddings read [positions] of indices.
//
//   output_shape   what it makes of the shapes that it reads, or why it cannot read them
//   operator_of    the same as an Operator (sim/model/operator.h): FLOPs, parameters, bytes moved and kept
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sim/base/enum_names.h"
#include "sim/model/operator.h"

namespace echelon {

enum class GraphOp {
  dense,
  convolution,
  attention,
  recurrent,
  embedding,
  norm,
  elementwise,
  pooling,
  concat,
  add,
  reshape,
  cross_entropy,
  custom
};

template <>
inline constexpr auto enum_names<GraphOp> = std::to_array<EnumName<GraphOp>>({
    {GraphOp::dense, "dense"},
    {GraphOp::convolution, "convolution"},
    {GraphOp::attention, "attention"},
    {GraphOp::recurrent, "recurrent"},
    {GraphOp::embedding, "embedding"},
    {GraphOp::norm, "norm"},
    {GraphOp::elementwise, "elementwise"},
    {GraphOp::pooling, "pooling"},
    {GraphOp::concat, "concat"},
    {GraphOp::add, "add"},
    {GraphOp::reshape, "reshape"},
    {GraphOp::cross_entropy, "cross_entropy"},
    {GraphOp::custom, "custom"},
});

enum class GraphNorm { batch_norm, layer_norm, rms_norm };

template <>
inline constexpr auto enum_names<GraphNorm> = std::to_array<EnumName<GraphNorm>>({
    {GraphNorm::batch_norm, "batch_norm"},
    {GraphNorm::layer_norm, "layer_norm"},
    {GraphNorm::rms_norm, "rms_norm"},
});

enum class ElementFunction { relu, sigmoid, tanh, gelu, swish, softmax, dropout, scale, multiply };

template <>
inline constexpr auto enum_names<ElementFunction> = std::to_array<EnumName<ElementFunction>>({
    {ElementFunction::relu, "relu"},
    {ElementFunction::sigmoid, "sigmoid"},
    {ElementFunction::tanh, "tanh"},
    {ElementFunction::gelu, "gelu"},
    {ElementFunction::swish, "swish"},
    {ElementFunction::softmax, "softmax"},
    {ElementFunction::dropout, "dropout"},
    {ElementFunction::scale, "scale"},
    {ElementFunction::multiply, "multiply"},
});

enum class RecurrentCell { lstm, gru };

template <>
inline constexpr auto enum_names<RecurrentCell> = std::to_array<EnumName<RecurrentCell>>({
    {RecurrentCell::lstm, "lstm"},
    {RecurrentCell::gru, "gru"},
});

enum class PoolingKind { max, average };

template <>
inline constexpr auto enum_names<PoolingKind> = std::to_array<EnumName<PoolingKind>>({
    {PoolingKind::max, "max"},
    {PoolingKind::average, "average"},
});

using Shape = std::vector<std::int64_t>;
using Extent = std::array<std::int64_t, 2>;  // height, width

std::string to_text(const Shape& shape);  // "[3, 224, 224]"
double element_count(const Shape& shape);

// Elements of a tensor, far above any: so many are exact in 64 bits and in a double.
constexpr double most_elements = 1e15;

// Why operator and inputs do not go together, and what would.
struct ShapeMisfit {
  std::string wrong;
  std::string right;
};

struct GraphOperator {
  std::string name;
  GraphOp op = GraphOp::dense;
  std::int64_t features = 0;  // dense, recurrent: of the output; embedding: of a row; attention: of all its heads
                              // together, 0 = of its input
  bool bias = true;           // dense, convolution, recurrent, attention's projections
  bool tied = false;          // dense: uses another operator's table

  Extent kernel = {1, 1};  // convolution, pooling
  Extent stride = {1, 1};
  Extent padding = {0, 0};    // on each side
  std::int64_t channels = 0;  // convolution: of its output
  std::int64_t groups = 1;    // convolution
  PoolingKind pooling = PoolingKind::max;
  bool global = false;     // pooling: one window for all positions
  bool rounds_up = false;  // pooling: a window that hangs over the end counts

  std::int64_t heads = 1;   // attention
  bool causal = false;      // attention
  bool projections = true;  // attention: of queries, keys and values and of the result
  RecurrentCell cell = RecurrentCell::lstm;
  bool bidirectional = false;
  std::int64_t biases = 2;  // recurrent: bias vectors of each gate (cuDNN and PyTorch have two)

  std::int64_t rows = 0;  // embedding: of its table
  bool sums = false;      // embedding: adds up the rows that it gathered

  GraphNorm norm = GraphNorm::batch_norm;
  bool affine = true;  // norm: has weights and, but for rms_norm, biases
  ElementFunction function = ElementFunction::relu;

  std::optional<Shard> shard;  // absent: by sample

  Shape shape;            // reshape: empty = all features in one row; custom: of its output, empty = as its first input
  double parameters = 0;  // custom
  StatedWork work;        // custom, for one sample
  double kept_bytes = 0;  // custom: of a sample
};

// Shape of the output for these inputs, at least one.
std::variant<Shape, ShapeMisfit> output_shape(const GraphOperator& op, const std::vector<Shape>& inputs);

// The operator itself for inputs that output_shape() took, all but `reads_data` and what tensors it keeps. Attention is
// its core alone, whose inputs are queries, keys and values side by side, or queries and what serves as both others.
Operator operator_of(const GraphOperator& op, const std::vector<Shape>& inputs, const Shape& output);

// Size of the dimension that the operator's shard divides, 0 for samples; or why it cannot be divided so.
std::variant<std::int64_t, ShapeMisfit> divided_size(const GraphOperator& op, const std::vector<Shape>& inputs,
                                                     const Shape& output);
// Elements of a sample that windows reach over a cut across the height.
double halo_elements(const GraphOperator& op, const Shape& input);

// Which tensors wait for the backward pass.
struct KeptTensors {
  bool inputs = false;
  bool output = false;
  double extra_elements = 0;  // beside those, for each element of the output
  Bytes extra_bytes;          // likewise, whatever the number format: masks, indices
};
KeptTensors kept_tensors(const GraphOperator& op);

}  // namespace echelon
