// (operator or communication of a layer, device, network) -> time of each of its directions.
#pragma once

#include <vector>

#include "sim/cost/cost_context.h"
#include "sim/cost/layer_traffic.h"
#include "sim/cost/operator_cost.h"
#include "sim/graph/work.h"

namespace echelon {

// One layer's steps priced apart, so that passes can pair collectives with the products that hide them.
struct PricedStep {
  const Operator* op = nullptr;
  const Communication* communication = nullptr;
  OperatorCost cost;
  PricedCalls forward_communication;
  PricedCalls backward_communication;
  PricedCalls regather;
  Ground ground = Ground::datasheet;
};

// Every step of `program`, in its order; they point into it.
std::vector<PricedStep> price_steps(const LayerProgram& program, const CostContext& context);

}  // namespace echelon
