#include <algorithm>

#include "strategies/intra/intra.h"

namespace echelon {

namespace {

const Operator* routed_operator(const Step& step) {
  const Operator* op = std::get_if<Operator>(&step);
  return op != nullptr && op->routed ? op : nullptr;
}

Communication all_to_all(double row_share, double width) {
  Communication exchange;
  exchange.axis = Axis::expert;
  exchange.forward = CollectiveKind::all_to_all;
  exchange.backward = CollectiveKind::all_to_all;
  exchange.row_share = row_share;
  exchange.width = width;
  return exchange;
}

}  // namespace

void expert_parallel(LayerProgram& program, const Strategy& strategy) {
  const std::int64_t degree = strategy.mesh.expert;
  if (degree <= 1) return;
  const auto is_routed = [](const Step& step) { return routed_operator(step) != nullptr; };
  const auto first = std::find_if(program.steps.begin(), program.steps.end(), is_routed);
  if (first == program.steps.end()) return;
  const auto last = std::find_if(program.steps.rbegin(), program.steps.rend(), is_routed).base();
  for (auto step = first; step != last; ++step) {
    Operator* op = std::get_if<Operator>(&*step);
    if (op == nullptr || !op->routed) continue;
    op->experts = std::max<std::int64_t>(1, op->experts / degree);
    op->parameters /= static_cast<double>(degree);
  }
  const Operator& entry = *routed_operator(*first);
  const double width = entry.in_features;
  const double share = entry.row_share;
  const auto position = first - program.steps.begin();
  program.steps.insert(last, all_to_all(share, width));
  program.steps.insert(program.steps.begin() + position, all_to_all(share, width));
}

}  // namespace echelon
