#include "strategies/intra/intra.h"

namespace echelon {

void context_parallel(LayerProgram& program, const Strategy& strategy) {
  if (strategy.mesh.context <= 1) return;
  std::vector<Step> steps;
  for (Step& step : program.steps) {
    Operator* op = std::get_if<Operator>(&step);
    if (op != nullptr && op->kind == OperatorKind::attention) {
      Communication ring;
      ring.axis = Axis::context;
      ring.forward = CollectiveKind::send_receive;
      ring.backward = CollectiveKind::send_receive;
      ring.width = static_cast<double>(op->attention.kv_heads * (op->attention.qk_head_dim + op->attention.v_head_dim));
      ring.repeats = static_cast<double>(strategy.mesh.context - 1);
      ring.backward_repeats = 2 * ring.repeats;  // keys and values, and their gradients
      ring.hiding = Hiding::operators;
      op->merged_partials = ring.repeats;
      steps.emplace_back(ring);
    }
    steps.push_back(std::move(step));
  }
  program.steps = std::move(steps);
}

}  // namespace echelon
