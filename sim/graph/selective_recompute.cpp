#include "sim/graph/selective_recompute.h"

#include <cstddef>
#include <optional>

namespace echelon {

namespace {

const Operator* next_operator(const LayerProgram& program, std::size_t step) {
  for (std::size_t i = step + 1; i < program.steps.size(); ++i) {
    const Operator* op = std::get_if<Operator>(&program.steps[i]);
    if (op != nullptr && op->kind != OperatorKind::rotary) return op;
  }
  return nullptr;
}

// The sizes of the products that a linear fuses, as shares of its output.
std::vector<double> products_of(const LayerProgram& program, std::size_t step, const Operator& linear) {
  const Operator* next = next_operator(program, step);
  if (next == nullptr) return {1};
  const AttentionShape& shape = next->attention;
  const auto queries = static_cast<double>(shape.heads * shape.qk_head_dim);
  const auto keys = static_cast<double>(shape.kv_heads * shape.qk_head_dim);
  const auto values = static_cast<double>(shape.kv_heads * shape.v_head_dim);
  if (next->kind == OperatorKind::attention && linear.out_features == queries + keys + values)
    return {queries / linear.out_features, keys / linear.out_features, values / linear.out_features};
  if (next->kind == OperatorKind::activation && next->gated && linear.out_features == 2 * next->width)
    return {0.5, 0.5};
  return {1};
}

bool reduce_scatter_follows(const LayerProgram& program, std::size_t step) {
  if (step + 1 >= program.steps.size()) return false;
  const auto* communication = std::get_if<Communication>(&program.steps[step + 1]);
  return communication != nullptr && communication->forward == CollectiveKind::reduce_scatter;
}

}  // namespace

std::vector<SelectiveShares> selective_shares(const LayerProgram& program, const Execution& execution) {
  const bool compiled = execution.style == KernelStyle::compiled;
  std::vector<SelectiveShares> shares(program.steps.size());
  std::optional<std::size_t> last;
  std::size_t count = 0;
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    const Operator* op = std::get_if<Operator>(&program.steps[i]);
    if (op == nullptr || op->kind != OperatorKind::linear) continue;
    last = i;
    for (const double share : products_of(program, i, *op)) {
      const bool keeps = count++ % 2 == 0;
      (keeps ? shares[i].kept : shares[i].rerun) += share;
    }
    if (compiled && reduce_scatter_follows(program, i)) shares[i] = {};
  }
  if (last) shares[*last].rerun = 0;
  return shares;
}

}  // namespace echelon
