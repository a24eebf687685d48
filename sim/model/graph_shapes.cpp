#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "sim/model/graph_operator.h"

namespace echelon {

namespace {

using Outcome = std::variant<Shape, ShapeMisfit>;

std::string_view noun(const GraphOperator& op) {
  return name_of(op.op);
}

ShapeMisfit wrong_rank(const GraphOperator& op, const Shape& input, std::string_view right) {
  return {fmt::format("{} reads {}", noun(op), to_text(input)), fmt::format("expected {}", right)};
}

// The last dimension replaced.
Shape with_features(Shape shape, std::int64_t features) {
  shape.back() = features;
  return shape;
}

Outcome dense_shape(const GraphOperator& op, const Shape& input) {
  if (input.size() > 2) return wrong_rank(op, input, "[features] or [positions, features]; a reshape would make it so");
  return with_features(input, op.features);
}

// Windows over one dimension (arXiv:1603.07285, relationship 6); none where the kernel is larger than what it reads.
std::int64_t windows(const GraphOperator& op, std::int64_t size, std::size_t axis) {
  const std::int64_t span = size + 2 * op.padding[axis] - op.kernel[axis];
  if (span < 0) return 0;
  const std::int64_t up = op.op == GraphOp::pooling && op.rounds_up ? op.stride[axis] - 1 : 0;
  return (span + up) / op.stride[axis] + 1;
}

Outcome windowed_shape(const GraphOperator& op, const Shape& input, std::int64_t channels) {
  if (input.size() != 3) return wrong_rank(op, input, "[channels, height, width]");
  Shape output = {channels, windows(op, input[1], 0), windows(op, input[2], 1)};
  if (output[1] > 0 && output[2] > 0) return output;
  return ShapeMisfit{
      fmt::format("a kernel of {} x {} does not fit into {}", op.kernel[0], op.kernel[1], to_text(input)),
      "expected a smaller kernel or more padding"};
}

Outcome convolution_shape(const GraphOperator& op, const Shape& input) {
  Outcome shape = windowed_shape(op, input, op.channels);
  if (std::holds_alternative<ShapeMisfit>(shape)) return shape;
  if (input[0] % op.groups != 0 || op.channels % op.groups != 0)
    return ShapeMisfit{fmt::format("{} groups of {} channels that become {}", op.groups, input[0], op.channels),
                       "expected a divisor of both"};
  return shape;
}

Outcome pooling_shape(const GraphOperator& op, const Shape& input) {
  if (!op.global) return windowed_shape(op, input, input.empty() ? 0 : input[0]);
  if (input.size() == 3) return Shape{input[0]};
  if (input.size() == 2) return Shape{input[1]};
  return wrong_rank(op, input, "[channels, height, width] or [positions, features]");
}

// Queries, keys and values side by side, or queries and another tensor of keys and values, or of what is both.
Outcome attention_shape(const GraphOperator& op, const std::vector<Shape>& inputs) {
  for (const Shape& input : inputs)
    if (input.size() != 2) return wrong_rank(op, input, "[positions, features]");
  const std::int64_t width = inputs.size() == 1 ? inputs[0][1] / 3 : inputs[0][1];
  const bool packed = inputs.size() == 1 && inputs[0][1] % 3 != 0;
  if (packed || width % op.heads != 0)
    return ShapeMisfit{fmt::format("{} heads of {} features", op.heads, inputs[0][1]),
                       packed ? "expected queries, keys and values side by side" : "expected a divisor"};
  if (inputs.size() == 2 && inputs[1][1] != width && inputs[1][1] != 2 * width)
    return ShapeMisfit{fmt::format("queries of {} features and keys of {}", width, inputs[1][1]),
                       fmt::format("expected {}, or {} for keys and values side by side", width, 2 * width)};
  return Shape{inputs[0][0], width};
}

// Side by side in channels or features.
Outcome concat_shape(const std::vector<Shape>& inputs) {
  const Shape& first = inputs.front();
  const std::size_t axis = first.size() == 3 ? 0 : first.size() - 1;
  Shape joined = first;
  joined[axis] = 0;
  for (const Shape& input : inputs) {
    Shape alike = input;
    if (alike.size() == first.size()) alike[axis] = first[axis];
    if (alike != first)
      return ShapeMisfit{fmt::format("concat of {} and {}", to_text(first), to_text(input)),
                         "expected the same sizes but for the channels or features"};
    joined[axis] += input[axis];
  }
  return joined;
}

Outcome equal_shapes(const GraphOperator& op, const std::vector<Shape>& inputs) {
  for (const Shape& other : inputs)
    if (other != inputs.front())
      return ShapeMisfit{fmt::format("{} of {} and {}", noun(op), to_text(inputs.front()), to_text(other)),
                         "expected the same shape"};
  return inputs.front();
}

Outcome reshaped(const GraphOperator& op, const Shape& input) {
  const double elements = element_count(input);
  if (op.shape.empty()) return Shape{static_cast<std::int64_t>(elements)};
  if (element_count(op.shape) == elements) return op.shape;
  return ShapeMisfit{fmt::format("{} made {}: {} elements made {}", to_text(input), to_text(op.shape), elements,
                                 element_count(op.shape)),
                     "expected as many"};
}

// How many inputs an operator may have.
struct InputCount {
  std::size_t least = 1;
  std::size_t most = 1;
};

InputCount input_count(const GraphOperator& op) {
  constexpr std::size_t any = 1000;
  if (op.op == GraphOp::concat || op.op == GraphOp::add) return {2, any};
  if (op.op == GraphOp::custom) return {1, any};
  if (op.op == GraphOp::attention) return {1, 2};
  if (op.op == GraphOp::elementwise && op.function == ElementFunction::multiply) return {2, 2};
  return {1, 1};
}

Outcome shape_by_kind(const GraphOperator& op, const std::vector<Shape>& inputs) {
  const Shape& input = inputs.front();
  switch (op.op) {
    case GraphOp::dense:
      return dense_shape(op, input);
    case GraphOp::convolution:
      return convolution_shape(op, input);
    case GraphOp::attention:
      return attention_shape(op, inputs);
    case GraphOp::recurrent:
      if (input.size() != 2) return wrong_rank(op, input, "[positions, features]");
      return with_features(input, op.features * (op.bidirectional ? 2 : 1));
    case GraphOp::embedding:
      if (input.size() != 1) return wrong_rank(op, input, "[positions] of indices");
      return op.sums ? Shape{op.features} : Shape{input[0], op.features};
    case GraphOp::pooling:
      return pooling_shape(op, input);
    case GraphOp::concat:
      return concat_shape(inputs);
    case GraphOp::add:
    case GraphOp::elementwise:
      return equal_shapes(op, inputs);
    case GraphOp::reshape:
      return reshaped(op, input);
    case GraphOp::cross_entropy:
      return Shape{1};
    case GraphOp::custom:
      return op.shape.empty() ? input : op.shape;
    case GraphOp::norm:
      return input;
  }
  return input;
}

}  // namespace

std::string to_text(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

double element_count(const Shape& shape) {
  double product = 1;
  for (const std::int64_t size : shape) product *= static_cast<double>(size);
  return product;
}

std::variant<Shape, ShapeMisfit> output_shape(const GraphOperator& op, const std::vector<Shape>& inputs) {
  const InputCount count = input_count(op);
  if (inputs.size() < count.least || inputs.size() > count.most)
    return ShapeMisfit{fmt::format("{} of {} input{}", noun(op), inputs.size(), inputs.size() == 1 ? "" : "s"),
                       fmt::format("expected {}", count.least == count.most ? fmt::format("{}", count.least)
                                                                            : fmt::format("at least {}", count.least))};
  Outcome outcome = shape_by_kind(op, inputs);
  if (const auto* shape = std::get_if<Shape>(&outcome); shape != nullptr && element_count(*shape) > most_elements)
    return ShapeMisfit{fmt::format("a tensor {} of more than 10^15 elements", to_text(*shape)),
                       "expected a smaller one"};
  return outcome;
}

}  // namespace echelon
