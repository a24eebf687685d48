#include "sim/model/operator.h"

#include <algorithm>

namespace echelon {

double key_count(const AttentionShape& shape, double sequence) {
  return shape.keys > 0 ? shape.keys : sequence;
}

double mean_attended_keys(const AttentionShape& shape, double workload_sequence) {
  const double sequence = key_count(shape, workload_sequence);
  const double window = shape.window > 0 ? std::min(static_cast<double>(shape.window), sequence) : sequence;
  if (!shape.causal) return window;
  // Query i of a causal window w sees min(i, w) keys, i = 1..s: the sum is w s - w (w-1)/2.
  return window - window * (window - 1) / (2 * sequence);
}

namespace {

Flops attention_forward(const Operator& op, double tokens, double keys) {
  const AttentionShape& shape = op.attention;
  const double dims = static_cast<double>(shape.qk_head_dim + shape.v_head_dim);
  return Flops(2 * static_cast<double>(shape.heads) * dims * tokens * op.row_share * keys);
}

// Backward is four products (dV, dP, dQ, dK) against forward's two, and Q K^T once more where scores are recomputed.
double attention_backward_ratio(const AttentionShape& shape, AttentionKernel kernel) {
  if (kernel == AttentionKernel::unfused) return 2;
  const double qk = static_cast<double>(shape.qk_head_dim);
  return 2 + qk / (qk + static_cast<double>(shape.v_head_dim));
}

}  // namespace

OperatorFlops executed_flops(const Operator& op, double tokens, double sequence, AttentionKernel kernel) {
  const double rows = tokens * op.row_share;
  switch (op.kind) {
    case OperatorKind::linear: {
      const Flops product(2 * rows * op.in_features * op.out_features);
      return {product, op.reads_data ? Flops(0) : product, product};
    }
    case OperatorKind::convolution: {
      const Flops product(2 * rows * op.convolution.taps * op.in_features * op.out_features / op.convolution.groups);
      return {product, op.reads_data ? Flops(0) : product, product};
    }
    case OperatorKind::recurrent: {
      const RecurrentShape& cell = op.recurrent;
      const Flops input(2 * rows * cell.directions * cell.gates * op.out_features * op.in_features);
      const Flops state(2 * rows * cell.directions * cell.gates * op.out_features * op.out_features);
      return {input + state, op.reads_data ? state : input + state, input + state};
    }
    case OperatorKind::attention: {
      const bool skips_masked = kernel != AttentionKernel::unfused;
      const double keys = skips_masked ? mean_attended_keys(op.attention, sequence) : key_count(op.attention, sequence);
      const Flops forward = attention_forward(op, tokens, keys);
      return {forward, forward * attention_backward_ratio(op.attention, kernel), Flops(0)};
    }
    case OperatorKind::state_space: {
      const Flops forward(rows * op.state_flops);
      return {forward, forward * 2, Flops(0)};
    }
    default: {
      if (!op.stated) return {};
      const OperatorFlops& flops = op.stated->flops;
      return {flops.forward * rows, flops.backward_input * rows, flops.backward_weight * rows};
    }
  }
}

Flops model_forward_flops(const Operator& op, double tokens, double sequence) {
  if (op.kind != OperatorKind::attention) return executed_flops(op, tokens, sequence, AttentionKernel::unfused).forward;
  const double window = static_cast<double>(op.attention.window);
  const double keys = key_count(op.attention, sequence);
  return attention_forward(op, tokens, window > 0 ? std::min(window, keys) : keys);
}

}  // namespace echelon
