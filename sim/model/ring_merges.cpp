#include "sim/model/ring_merges.h"

namespace echelon {

// Megatron-LM's own layers have no ring but Transformer Engine's.
bool merges_inside_one_operation(KernelStyle style) {
  return style == KernelStyle::megatron_fused || style == KernelStyle::transformer_engine;
}

OperatorTraffic ring_merges(const Operator& op, double rows, KernelStyle style) {
  const AttentionShape& shape = op.attention;
  const double merges = op.merged_partials;
  const double output = rows * merges * static_cast<double>(shape.heads * shape.v_head_dim);
  if (!merges_inside_one_operation(style))
    return {{Bytes(38) * output, 5 * merges}, {Bytes(3 * 18) * output, 6 * merges}};
  const double inputs =
      rows * merges *
      static_cast<double>(shape.heads * shape.qk_head_dim + shape.kv_heads * (shape.qk_head_dim + shape.v_head_dim));
  return {{Bytes(6) * output, 2 * merges}, {Bytes(6) * inputs, 3 * merges}};
}

}  // namespace echelon
