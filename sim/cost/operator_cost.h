// The parts of an operator's time, before passes put them together.
#pragma once

#include "sim/cost/work_cost.h"

namespace echelon {

// Times and launches of one operator on one rank for one micro-batch.
struct OperatorCost {
  Seconds forward;
  Seconds input_gradient;  // pointwise backward work and attention included
  Seconds weight_gradient;
  double forward_kernels = 0;
  double backward_kernels = 0;
  double forward_calls = 0;  // of C++ code for one expert each, beside its products; of a ring's steps
  double backward_calls = 0;
  OperatorFlops flops;
  Ground ground = Ground::datasheet;
};

// Whether the linear's products run in the narrower type. Output projections and routers stay in the compute type
// (torchtitan's float8 filter, Transformer Engine's recipes).
bool quantised(const Operator& op, const Precision& precision);

OperatorCost operator_cost(const Operator& op, const CostContext& context);

}  // namespace echelon
