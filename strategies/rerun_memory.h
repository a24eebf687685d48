// What a layer need not keep where operators of some kinds run again before its backward pass (Recompute::operators).
#pragma once

#include <vector>

#include "sim/graph/layer_program.h"
#include "sim/model/kernel_style.h"

namespace echelon {

// Bytes of one layer and micro-batch of `tokens` on this rank: the tensors between two operators of which the first
// runs again, from an input that is kept or comes back the same way; and attention's scores. Attention's output stays:
// Megatron-Core's core_attn runs again for attention's own backward pass, after that of the product behind it.
Bytes dropped_bytes(const LayerProgram& program, const std::vector<OperatorKind>& kinds, const Execution& execution,
                    double tokens, double sequence);

}  // namespace echelon
