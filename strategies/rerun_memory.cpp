#include "strategies/rerun_memory.h"

#include <algorithm>

namespace echelon {

namespace {

// Of what the operator keeps, its input as the operator before it made it.
Bytes kept_input(const Operator& op, const SavedActivations& saved, const Execution& execution, double rows) {
  switch (op.kind) {
    case OperatorKind::linear:
    case OperatorKind::norm:
      return saved.kept;
    case OperatorKind::activation:  // the rest is what it makes of it for itself
      return std::min(saved.kept, execution.activation_element * (rows * op.width * (op.gated ? 2 : 1)));
    case OperatorKind::attention: {
      const double heads = static_cast<double>(op.attention.heads);
      const double keys = static_cast<double>(execution.repeats_kv_heads ? op.attention.heads : op.attention.kv_heads);
      const double qk = static_cast<double>(op.attention.qk_head_dim);
      const double v = static_cast<double>(op.attention.v_head_dim);
      return std::min(saved.kept, execution.activation_element * (rows * (heads * qk + keys * (qk + v))));
    }
    default:
      return Bytes(0);
  }
}

// Whether the second of two operators in a program can be a reader of the first: branches stand one behind the other.
bool may_read(const Operator& op, const Operator& before) {
  return op.kind != OperatorKind::linear || before.kind != OperatorKind::linear ||
         op.in_features == before.out_features;
}

}  // namespace

Bytes dropped_bytes(const LayerProgram& program, const RerunList& list, const Execution& execution, double tokens,
                    double sequence) {
  Bytes dropped;
  const Operator* before = nullptr;
  bool comes_back = false;  // the output of the operator before
  for (const Step& step : program.steps) {
    const Operator* op = std::get_if<Operator>(&step);
    if (op == nullptr) continue;
    const double most = most_tokens(*op, tokens);
    const SavedActivations saved = saved_activations(*op, most, sequence, execution);
    if (comes_back && may_read(*op, *before)) dropped += kept_input(*op, saved, execution, most * op->row_share);
    const bool reruns = list.contains(*op);
    const bool attends = op->kind == OperatorKind::attention;
    if (reruns && attends) dropped += saved.attention_core;
    if (reruns) dropped += saved.inner;
    const bool keeps_input = saved.kept > Bytes(0) && op->kind != OperatorKind::residual;  // that keeps a mask at most
    comes_back = reruns && !attends && (comes_back || keeps_input);
    before = op;
  }
  return dropped;
}

}  // namespace echelon
