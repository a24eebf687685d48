#include "strategies/block_memory.h"

#include <algorithm>
#include <vector>

#include "sim/graph/selective_recompute.h"

namespace echelon {

namespace {

struct Sums {
  Bytes kept;
  Bytes attention_core;
  Bytes linear_inputs;
  Bytes attention_output;
  Bytes entry;   // the hidden state that enters the block
  Bytes widest;  // the largest tensor of the block
  Bytes logits;  // elements of the loss, in activation bytes
};

Sums sum_up(const LayerProgram& program, const Execution& execution, double tokens, double sequence) {
  Sums sums;
  const Bytes element = execution.activation_element;
  for (const Step& step : program.steps) {
    const Operator* op = std::get_if<Operator>(&step);
    if (op == nullptr) continue;
    const SavedActivations saved = saved_activations(*op, tokens, sequence, execution);
    const double rows = tokens * op->row_share;
    sums.kept += saved.kept;
    sums.attention_core += saved.attention_core;
    if (op->kind == OperatorKind::norm && sums.entry == Bytes(0)) sums.entry = element * rows * op->width;
    if (op->kind == OperatorKind::linear) {
      sums.linear_inputs += saved.kept;
      sums.widest = std::max(sums.widest, element * rows * op->out_features);
    }
    if (op->kind == OperatorKind::attention)
      sums.attention_output += element * rows * static_cast<double>(op->attention.heads * op->attention.v_head_dim);
    if (op->kind == OperatorKind::cross_entropy) sums.logits = element * rows * op->width;
  }
  return sums;
}

// Product and reduce-scatter outputs that selective recompute by operator keeps.
Bytes selective_bytes(const LayerProgram& program, const Strategy& strategy, const Execution& execution,
                      double tokens) {
  const std::vector<SelectiveShares> shares = selective_shares(program, execution);
  double elements = 0;
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    if (const auto* op = std::get_if<Operator>(&program.steps[i]))
      elements += tokens * op->row_share * op->out_features * shares[i].kept;
    else if (const auto& part = std::get<Communication>(program.steps[i]);
             part.forward == CollectiveKind::reduce_scatter)
      elements += tokens * part.row_share * part.width / static_cast<double>(strategy.mesh.tensor);
  }
  return execution.activation_element * elements;
}

// Logits in flight beside what the loss keeps: the 16-bit logits and their gradient; eager PyTorch also holds an fp32
// copy forward and an fp32 gradient backward.
Bytes loss_extra(const Sums& sums, KernelStyle style) {
  const double fp32_copy = style == KernelStyle::eager || style == KernelStyle::nanotron ? 2 : 0;
  return sums.logits * (1 + fp32_copy);
}

}  // namespace

BlockMemory block_memory(const LayerProgram& program, BlockRole role, const Strategy& strategy, Recompute recompute,
                         const Execution& execution, double tokens, double sequence) {
  const Sums sums = sum_up(program, execution, tokens, sequence);
  BlockMemory memory;
  if (role == BlockRole::head) {
    const Bytes loss = strategy.fused_loss ? Bytes(0) : loss_extra(sums, execution.style);
    memory.kept = strategy.fused_loss ? sums.linear_inputs * 2 : sums.kept;
    memory.kept_for_weights = sums.linear_inputs;
    memory.forward_extra = loss;
    memory.backward_extra = loss;
    return memory;
  }
  const Bytes in_flight = sums.widest * 2;  // the widest gradient and the one that it makes
  memory.kept_for_weights = sums.linear_inputs;
  memory.forward_extra = sums.widest;
  memory.backward_extra = in_flight;
  switch (recompute) {
    case Recompute::none:
      memory.kept = sums.kept;
      break;
    case Recompute::selective:
      memory.kept = sums.kept - sums.attention_core;
      memory.backward_extra += sums.attention_core;
      break;
    case Recompute::selective_ops:
      memory.kept = sums.entry + sums.attention_output + selective_bytes(program, strategy, execution, tokens);
      memory.backward_extra += sums.kept - memory.kept;
      break;
    case Recompute::full:
      memory.kept = sums.entry;
      memory.backward_extra += sums.kept;
      break;
  }
  memory.kept_for_weights = std::min(memory.kept_for_weights, memory.kept);
  return memory;
}

}  // namespace echelon
