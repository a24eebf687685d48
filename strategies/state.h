// Bytes of parameters, gradients and optimizer states, whole and sharded.
//
// Mixed-precision Adam after ZeRO (arXiv:1910.02054, section 3.1) and Megatron-LM's distributed-optimizer document:
//   megatron  16-bit weight 2, gradient buffer 2 or 4, optimizer 12 (fp32 master, two moments), and 4 more where
//   gradients are
//             16-bit (the optimizer's fp32 copy): 18 with fp32 gradients, 20 with 16-bit ones; fp32 training 16.
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
};
StateBytes state_bytes(const Workload& workload);

// Which of the state lies divided: zero3 also where zero2 divides parameters.
Sharding state_sharding(const Strategy& strategy);

struct ShardedState {
  Bytes parameters;
  Bytes gradients;
  Bytes optimizer;
};

// `elements` of one rank before data-parallel sharding, `ranks` that share them.
ShardedState sharded_state(double elements, const StateBytes& bytes, Sharding sharding, double ranks);

// Device memory that one optimizer step moves for an element: states, gradients and weights read and written once
// (Adam: gradient, master, two moments in; master, two moments, weight out), the gradient twice more for its norm and
// scale.
Bytes optimizer_traffic(const Workload& workload);

// Bytes of the unsharded copy of an element that layers compute with.
Bytes compute_weight(const Workload& workload);
// Bytes of an element as parameter gathers send it.
Bytes gathered_weight(const Workload& workload);

}  // namespace echelon
