#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "sim/model/graph_operator.h"

namespace echelon {

namespace {

// Ways to divide an operator beside its samples (arXiv:1807.05358, table 1, and partial sums).
std::vector<Shard> ways_to_divide(const GraphOperator& op) {
  switch (op.op) {
    case GraphOp::dense:
    case GraphOp::convolution:
      return {Shard::attribute, Shard::parameter, Shard::reduction};
    case GraphOp::embedding:
      return {Shard::parameter, Shard::reduction};
    case GraphOp::attention:
      return {Shard::parameter};
    case GraphOp::norm:
      if (op.norm == GraphNorm::batch_norm) return {Shard::attribute, Shard::parameter};
      return {Shard::attribute};
    case GraphOp::pooling:
      if (op.global) return {Shard::parameter};
      return {Shard::attribute, Shard::parameter};
    case GraphOp::elementwise:
    case GraphOp::concat:
    case GraphOp::add:
      return {Shard::attribute, Shard::parameter};
    case GraphOp::recurrent:
    case GraphOp::reshape:
    case GraphOp::cross_entropy:
    case GraphOp::custom:
      return {};
  }
  return {};
}

std::int64_t feature_count(const Shape& shape) {
  return shape.size() == 3 ? shape.front() : shape.back();
}

// Height of [channels, height, width], positions of [positions, features].
std::int64_t attribute_count(const Shape& shape) {
  if (shape.size() == 3) return shape[1];
  return shape.size() == 2 ? shape[0] : 0;
}

}  // namespace

std::variant<std::int64_t, ShapeMisfit> divided_size(const GraphOperator& op, const std::vector<Shape>& inputs,
                                                     const Shape& output) {
  const Shard shard = op.shard.value_or(Shard::sample);
  if (shard == Shard::sample) return 0;
  const std::vector<Shard> ways = ways_to_divide(op);
  const bool possible = std::find(ways.begin(), ways.end(), shard) != ways.end();
  if (!possible || (shard == Shard::attribute && attribute_count(output) == 0)) {
    std::vector<std::string_view> names = {name_of(Shard::sample)};
    for (const Shard way : ways) names.push_back(name_of(way));
    return ShapeMisfit{fmt::format("{} of {} divided by {}", name_of(op.op), to_text(output), name_of(shard)),
                       fmt::format("expected one of: {}", fmt::join(names, ", "))};
  }
  if (shard == Shard::attribute) return attribute_count(output);
  if (op.op == GraphOp::attention) return op.heads;
  if (shard == Shard::parameter) return feature_count(output);
  return op.op == GraphOp::embedding ? op.rows : feature_count(inputs.front());
}

double halo_elements(const GraphOperator& op, const Shape& input) {
  const bool windows = op.op == GraphOp::convolution || op.op == GraphOp::pooling;
  if (op.shard != Shard::attribute || !windows || input.size() != 3) return 0;
  const std::int64_t rows = std::max<std::int64_t>(0, op.kernel[0] - op.stride[0]);
  return static_cast<double>(rows * input[0] * input[2]);
}

}  // namespace echelon
