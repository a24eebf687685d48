#include "strategies/lowering/local_rounds.h"

#include "strategies/lowering/rank_kinds.h"
#include "strategies/mesh.h"
#include "strategies/state.h"

namespace echelon {

namespace {

constexpr Bytes fp32{4};

// Device memory moved for an element: the delta made of two fp32 values (or of one, averaged); then the step, which
// reads it, updates momentum and anchor, and writes the fp32 parameter and the one that layers use.
Bytes step_traffic(OuterOptimizer optimizer, Bytes delta, Bytes weight) {
  if (optimizer == OuterOptimizer::average) return fp32 + delta * 2 + fp32 + weight;
  return fp32 * 2 + delta * 2 + fp32 * 4 + fp32 + weight;
}

}  // namespace

LocalRounds::LocalRounds(const LoweringInput& input)
    : input_(input),
      steps_(input.strategy.local_steps),
      delta_(element_size(input.workload.precision.gradient_reduce)),
      weight_(compute_weight(input.workload)),
      outer_(outer_layout(input.strategy.mesh, input.placement.gpus_per_node)) {}

CollectiveChain LocalRounds::synchronisation(std::size_t rank, double elements) const {
  GroupLayout group = outer_;
  if (input_.placement.groups.size() > 1)
    group.bridges = joins_groups(communicator_groups(input_.strategy.mesh, outer_, static_cast<std::int64_t>(rank)),
                                 input_.placement);
  CollectiveChain chain;
  chain.calls.push_back({CollectiveKind::all_reduce, group, delta_ * elements, 1});
  chain.copies.moved = step_traffic(steps_.optimizer, delta_, weight_) * elements;
  return chain;
}

Bytes LocalRounds::kept(double elements) const {
  if (outer_.ranks <= 1 || steps_.optimizer == OuterOptimizer::average) return Bytes(0);
  return fp32 * 2 * elements;
}

Bytes LocalRounds::deltas(double elements) const {
  return delta_ * elements;
}

}  // namespace echelon
