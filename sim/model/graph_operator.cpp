#include "sim/model/graph_operator.h"

#include <algorithm>

namespace echelon {

namespace {

double as_double(std::int64_t value) {
  return static_cast<double>(value);
}

// Positions of a sample: every dimension but that of its features.
double positions(const Shape& shape) {
  if (shape.size() == 3) return as_double(shape[1] * shape[2]);
  return element_count(shape) / as_double(shape.back());
}

double features(const Shape& shape) {
  return as_double(shape.size() == 3 ? shape[0] : shape.back());
}

StatedWork moves(double forward, double backward) {
  StatedWork work;
  work.forward_elements = forward;
  work.backward_elements = backward;
  return work;
}

// Reads and writes of one element of the output, and what waits for the backward pass.
struct FunctionRow {
  ElementFunction function;
  double forward;
  double backward;
  KeptTensors kept;
};

// One kernel each way. Where the derivative is a function of the result, as for relu and tanh, that waits, else the
// input; dropout keeps a mask of one byte (PyTorch tools/autograd/derivatives.yaml).
const FunctionRow& row_of(ElementFunction function) {
  static const auto rows = std::to_array<FunctionRow>({
      {ElementFunction::relu, 2, 3, {false, true, 0, Bytes(0)}},
      {ElementFunction::sigmoid, 2, 3, {false, true, 0, Bytes(0)}},
      {ElementFunction::tanh, 2, 3, {false, true, 0, Bytes(0)}},
      {ElementFunction::gelu, 2, 3, {true, false, 0, Bytes(0)}},
      {ElementFunction::swish, 2, 3, {true, false, 0, Bytes(0)}},
      {ElementFunction::softmax, 2, 3, {false, true, 0, Bytes(0)}},
      {ElementFunction::dropout, 2, 2, {false, false, 0, Bytes(1)}},
      {ElementFunction::scale, 2, 2, {false, false, 0, Bytes(0)}},
      {ElementFunction::multiply, 3, 5, {true, false, 0, Bytes(0)}},
  });
  return *std::find_if(rows.begin(), rows.end(), [&](const FunctionRow& row) { return row.function == function; });
}

void make_dense(const GraphOperator& op, const Shape& input, Operator& made) {
  made.kind = OperatorKind::linear;
  made.row_share = positions(input);
  made.in_features = features(input);
  made.out_features = as_double(op.features);
  made.transposed_of = op.tied;
  made.parameters = (op.tied ? 0 : made.in_features * made.out_features) + (op.bias ? made.out_features : 0);
}

void make_convolution(const GraphOperator& op, const Shape& input, const Shape& output, Operator& made) {
  made.kind = OperatorKind::convolution;
  made.row_share = positions(output);
  made.in_features = features(input);
  made.out_features = features(output);
  made.convolution = {as_double(op.kernel[0] * op.kernel[1]), as_double(op.groups), positions(input)};
  made.parameters = made.convolution.taps * made.in_features / made.convolution.groups * made.out_features +
                    (op.bias ? made.out_features : 0);
}

void make_attention(const GraphOperator& op, const std::vector<Shape>& inputs, const Shape& output, Operator& made) {
  made.kind = OperatorKind::attention;
  made.row_share = positions(output);
  made.width = features(output);
  const std::int64_t dim = output[1] / op.heads;
  made.attention = {op.heads, op.heads, dim, dim, 0, op.causal, as_double(inputs.back()[0])};
}

// Beside the products, the gates: their sums are read, the activated gates written for the backward pass; the state is
// read and written and the output written. Backward reads gates, both states and the output's gradient and writes the
// gates' and the state's gradients.
void make_recurrent(const GraphOperator& op, const Shape& input, const Shape& output, Operator& made) {
  made.kind = OperatorKind::recurrent;
  made.row_share = positions(input);
  made.in_features = features(input);
  made.out_features = as_double(op.features);
  const double gates = op.cell == RecurrentCell::lstm ? 4 : 3;
  const double directions = op.bidirectional ? 2 : 1;
  made.recurrent = {gates, made.row_share, directions};
  const double biases = op.bias ? as_double(op.biases) : 0;
  made.parameters = directions * gates * made.out_features * (made.in_features + made.out_features + biases);
  const double states = element_count(output) / made.row_share;  // of a row, which traffic is counted for
  made.stated = moves(states * (2 * gates + 3), states * (2 * gates + 4));
  // cuDNN launches few kernels for all steps together.
  made.stated->forward_kernels = directions * 2;
  made.stated->backward_kernels = directions * 3;
}

void make_embedding(const GraphOperator& op, const Shape& input, Operator& made) {
  made.kind = OperatorKind::embedding;
  made.row_share = as_double(input[0]);
  made.in_features = as_double(op.rows);
  made.out_features = as_double(op.features);
  made.parameters = made.in_features * made.out_features;
}

// Batch norm reads its input for the statistics and again to normalise; backward reads input and gradient twice each
// and writes one gradient.
void make_norm(const GraphOperator& op, const Shape& input, Operator& made) {
  if (op.affine) made.parameters = features(input) * (op.norm == GraphNorm::rms_norm ? 1 : 2);
  if (op.norm == GraphNorm::batch_norm) {
    made.kind = OperatorKind::batch_norm;
    made.stated = moves(3 * element_count(input), 5 * element_count(input));
    return;
  }
  made.kind = OperatorKind::norm;
  made.root_mean_square = op.norm == GraphNorm::rms_norm;
  made.row_share = positions(input);
  made.width = features(input);
}

// Sums of n inputs: each is read once, the result written; the gradient serves all inputs as it is, and adding it to
// what comes back along the other branch reads two and writes one.
StatedWork sum_of(double inputs, double elements) {
  return moves((inputs + 1) * elements, 3 * elements);
}

}  // namespace

Operator operator_of(const GraphOperator& op, const std::vector<Shape>& inputs, const Shape& output) {
  Operator made;
  made.name = op.name;
  const Shape& input = inputs.front();
  const double in = element_count(input);
  const double out = element_count(output);
  switch (op.op) {
    case GraphOp::dense:
      make_dense(op, input, made);
      break;
    case GraphOp::convolution:
      make_convolution(op, input, output, made);
      break;
    case GraphOp::attention:
      make_attention(op, inputs, output, made);
      break;
    case GraphOp::recurrent:
      make_recurrent(op, input, output, made);
      break;
    case GraphOp::embedding:
      make_embedding(op, input, made);
      break;
    case GraphOp::norm:
      make_norm(op, input, made);
      break;
    case GraphOp::elementwise:
      made.kind = OperatorKind::elementwise;
      made.stated = moves(row_of(op.function).forward * out, row_of(op.function).backward * out);
      if (op.function == ElementFunction::dropout) {
        made.stated->forward_bytes = Bytes(out);  // the mask
        made.stated->backward_bytes = Bytes(out);
      }
      break;
    case GraphOp::pooling:
      made.kind = OperatorKind::pooling;
      made.stated = moves(in + out, in + out);
      break;
    case GraphOp::concat:
    case GraphOp::reshape:
      made.kind = OperatorKind::concat;
      made.stated = moves(2 * out, 2 * out);
      break;
    case GraphOp::add:
      made.kind = OperatorKind::residual;
      made.width = out;
      made.stated = sum_of(as_double(std::ssize(inputs)), out);
      break;
    case GraphOp::cross_entropy:
      made.kind = OperatorKind::cross_entropy;
      made.row_share = positions(input);
      made.width = features(input);
      break;
    case GraphOp::custom:
      made.kind = OperatorKind::custom;
      made.parameters = op.parameters;
      made.stated = op.work;
      break;
  }
  return made;
}

KeptTensors kept_tensors(const GraphOperator& op) {
  switch (op.op) {
    case GraphOp::dense:
    case GraphOp::convolution:
    case GraphOp::norm:
      return {true, false, 0, Bytes(0)};
    case GraphOp::recurrent:  // beside them the gates, and the state of an LSTM
      return {true, true, op.cell == RecurrentCell::lstm ? 5.0 : 3.0, Bytes(0)};
    case GraphOp::elementwise:
      return row_of(op.function).kept;
    case GraphOp::pooling:  // a maximum's place as a 64-bit index, beside its input (PyTorch max_pool2d_with_indices)
      return op.pooling == PoolingKind::max ? KeptTensors{true, false, 0, Bytes(8)} : KeptTensors{};
    default:
      return {};
  }
}

}  // namespace echelon
