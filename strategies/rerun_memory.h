// What a layer need not keep where some of its operators run again before its backward pass (Recompute::operators).
#pragma once

#include "sim/graph/layer_program.h"
#include "sim/model/kernel_style.h"
#include "sim/model/rerun_list.h"

namespace echelon {

// Tokens that the operator works on where the rank with the most has them: memory is the fullest rank's.
inline double most_tokens(const Operator& op, double tokens) {
  return op.routed ? tokens * op.busiest : tokens;
}

// Bytes of one layer and micro-batch of `tokens` on this rank: the tensors between two operators of which the first
// runs again, from an input that is kept or comes back the same way; and attention's scores. Attention's output stays:
// Megatron-Core's core_attn runs again for attention's own backward pass, after that of the product behind it.
Bytes dropped_bytes(const LayerProgram& program, const RerunList& list, const Execution& execution, double tokens,
                    double sequence);

}  // namespace echelon
