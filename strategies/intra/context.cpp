#include <algorithm>

#include "strategies/intra/intra.h"

namespace echelon {

namespace {

double kv_width(const AttentionShape& shape) {
  return static_cast<double>(shape.kv_heads * (shape.qk_head_dim + shape.v_head_dim));
}

Communication exchange(CollectiveKind forward, CollectiveKind backward, double width) {
  Communication communication;
  communication.axis = Axis::context;
  communication.forward = forward;
  communication.backward = backward;
  communication.width = width;
  return communication;
}

// Contiguous slices of a causal sequence: the last of n sees all keys and half of its own, n - 1/2 blocks against n/2
// on average.
double causal_imbalance(const Operator& attention, const Strategy& strategy, double slices) {
  const bool even = strategy.context_balanced || !attention.attention.causal || attention.attention.window > 0;
  return even ? 1 : 2 - 1 / slices;
}

// Keys and values of the other slices pass by; backward their gradients do too. `rows`: tokens of a rank's turn over
// its own.
void pass_ring(std::vector<Step>& steps, Operator& op, const Strategy& strategy, double ranks, double rows) {
  if (ranks <= 1) return;
  Communication ring = exchange(CollectiveKind::send_receive, CollectiveKind::send_receive, kv_width(op.attention));
  ring.row_share = rows;
  ring.repeats = ranks - 1;
  ring.backward_repeats = 2 * ring.repeats;
  ring.hiding = Hiding::operators;
  op.merged_partials = ring.repeats;
  op.busiest = causal_imbalance(op, strategy, ranks);
  steps.emplace_back(ring);
}

// Backward keys and values are gathered again and their gradients scattered.
void gather_keys(std::vector<Step>& steps, Operator& op, const Strategy& strategy) {
  const double ranks = static_cast<double>(strategy.mesh.context);
  Communication gather = exchange(CollectiveKind::all_gather, CollectiveKind::reduce_scatter, kv_width(op.attention));
  gather.row_share = ranks;
  gather.regathers_input = true;
  op.busiest = causal_imbalance(op, strategy, ranks);
  steps.emplace_back(gather);
}

// From slices of all heads to whole sequences of some, over `ranks` neighbours; the way back follows the operator.
Communication trade_heads(std::vector<Step>& steps, Operator& op, std::int64_t ranks) {
  AttentionShape& shape = op.attention;
  const double queries = static_cast<double>(shape.heads * shape.qk_head_dim);
  Communication trade = exchange(CollectiveKind::all_to_all, CollectiveKind::all_to_all, queries + kv_width(shape));
  trade.ranks = ranks;
  steps.emplace_back(trade);
  trade.width = static_cast<double>(shape.heads * shape.v_head_dim);
  shape.heads /= ranks;
  shape.kv_heads = std::max<std::int64_t>(1, shape.kv_heads / ranks);
  op.row_share *= static_cast<double>(ranks);
  return trade;
}

}  // namespace

std::int64_t context_all_to_all_ranks(const Strategy& strategy) {
  if (strategy.context_exchange == ContextExchange::all_to_all) return strategy.mesh.context;
  if (strategy.context_exchange != ContextExchange::all_to_all_ring) return 1;
  return std::max<std::int64_t>(1, strategy.context_all_to_all_ranks);
}

void context_parallel(LayerProgram& program, const Strategy& strategy) {
  if (strategy.mesh.context <= 1) return;
  const std::int64_t traders = context_all_to_all_ranks(strategy);
  const double ring = static_cast<double>(strategy.mesh.context) / static_cast<double>(traders);
  std::vector<Step> steps;
  for (Step& step : program.steps) {
    Operator* op = std::get_if<Operator>(&step);
    if (op == nullptr || op->kind != OperatorKind::attention) {
      steps.push_back(std::move(step));
      continue;
    }
    std::optional<Communication> back;
    if (traders > 1) back = trade_heads(steps, *op, traders);
    if (strategy.context_exchange == ContextExchange::all_gather)
      gather_keys(steps, *op, strategy);
    else
      pass_ring(steps, *op, strategy, ring, static_cast<double>(traders));
    steps.push_back(std::move(step));
    if (back) steps.emplace_back(*back);
  }
  program.steps = std::move(steps);
}

}  // namespace echelon
