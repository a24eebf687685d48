#include "sim/cost/host_wait.h"

#include <algorithm>

namespace echelon {

Seconds idle_between_waits(const std::vector<LaunchedStep>& steps, std::size_t first) {
  Seconds host;
  Seconds device;
  Seconds busy;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const LaunchedStep& step = steps[(first + i) % steps.size()];
    const Seconds start = std::max(device, host);
    host += step.host;
    device = std::max(start + step.device, host);
    busy += step.device;
  }
  return device - busy;
}

std::optional<std::size_t> counted_step(const LayerProgram& program) {
  std::optional<std::size_t> permutation;
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    const auto* op = std::get_if<Operator>(&program.steps[i]);
    if (op == nullptr) continue;
    if (op->kind == OperatorKind::permute) permutation = i;
    if (op->routed) return permutation;
  }
  return std::nullopt;
}

}  // namespace echelon
