// What ring attention adds to a step's own attention: the merging of partial results.
//
// Transformer Engine runs the ring as one operation for autograd (AttnFuncWithCPAndKVP2P in transformer_engine/pytorch/
// attention/dot_product_attention/context_parallel.py): a fused kernel corrects the softmax statistics and one more the
// running output, both in 16 bits (an element is read, and read and written: 6 bytes); backward the gradients of
// queries, keys and values are each added to 16-bit ones. PyTorch merges in fp32, operator by operator
// (torch/distributed/tensor/experimental/_attention.py): a cast, two differences and a product, 38 bytes an element,
// and for each gradient a cast and a sum, 18 bytes. Causal balance halves what a step touches of keys or queries, which
// is not taken off; nor are the copies of those halves counted that cuDNN asks of Transformer Engine, about as many
// bytes.
#pragma once

#include "sim/model/kernel_style.h"
#include "sim/model/operator.h"

namespace echelon {

// Of all steps but the first, of one attention operator on `rows` tokens; nothing without a ring.
OperatorTraffic ring_merges(const Operator& op, double rows, KernelStyle style);

// Whether the ring is one operation for autograd, whose kernels cost the host a call each.
bool merges_inside_one_operation(KernelStyle style);

}  // namespace echelon
