// Bytes of parameters, gradients and optimizer states, whole and sharded.
//
// Mixed-precision Adam after ZeRO (arXiv:1910.02054, section 3.1) and Megatron-LM's distributed-optimizer document:
//   megatron  16-bit weight 2, gradient buffer 2 or 4, optimizer 12 (fp32 master, two moments), and 4 more where
//             gradients are 16-bit, while the step runs (the optimizer's fp32 copy, dropped by the zero_grad that opens
//             the next iteration): 18 with fp32 gradients, 20 with 16-bit ones; fp32 training 16.
//   pytorch   fp32 parameter 4, gradient 4, moments 8: 16; a 16-bit copy exists while a layer computes.
#pragma once

#include <cstdint>

#include "sim/base/units.h"
#include "sim/model/workload.h"
#include "strategies/strategy.h"

namespace echelon {

// Bytes of one element before any sharding.
struct StateBytes {
  Bytes weight;
  Bytes gradient;
  Bytes optimizer;
  Bytes step;  // held while the optimizer runs
};
StateBytes state_bytes(const Workload& workload);

// Which of the state lies divided: zero3 also where zero2 divides parameters.
Sharding state_sharding(const Strategy& strategy);

struct ShardedState {
  Bytes parameters;
  Bytes gradients;
  Bytes optimizer;
  Bytes step;
};

// `elements` of one rank before data-parallel sharding, `ranks` that share them.
ShardedState sharded_state(double elements, const StateBytes& bytes, Sharding sharding, double ranks);

// Device memory that one optimizer step moves for an element, kernel by kernel: the gradient's norm (read) and clipping
// (read, written), the step itself (gradient read; weight and moments read and written; PyTorch's foreach optimizers
// walk the lists once for each operation). Megatron's and DeepSpeed's
// mixed-precision optimizers add the gradient's copy to fp32, its unscaling where there is a loss scale (fp16), the
// master weight's copy to the 16-bit weight, and the zeroing of the gradient buffer (Megatron-LM
// megatron/optimizer/optimizer.py, Float16OptimizerWithFloat16Params).
Bytes optimizer_traffic(const Workload& workload);

// Memory of the host that an optimizer step there moves for an element: gradient read, master weight and moments read
// and written, updated weight written (ZeRO-Offload, arXiv:2101.06840, section 5.1: one fused kernel).
Bytes host_optimizer_traffic(const Workload& workload);

// Bytes of an element on the host where its optimizer step runs there: the fp32 weight and the moments, and the fp32
// gradient (16 together with Adam, as DeepSpeed's estimate_zero2_model_states_mem_needs counts).
Bytes host_state(const Workload& workload);
Bytes host_gradient();

// Bytes of the unsharded copy of an element that layers compute with.
Bytes compute_weight(const Workload& workload);
// Bytes of an element as parameter gathers send it.
Bytes gathered_weight(const Workload& workload);

}  // namespace echelon
