#include "strategies/block_memory.h"

#include <algorithm>
#include <vector>

#include "sim/graph/selective_recompute.h"
#include "strategies/rerun_memory.h"

namespace echelon {

namespace {

struct Sums {
  Bytes kept;
  Bytes attention_core;
  Bytes linear_inputs;
  Bytes linear_gradients;  // of their outputs
  Bytes attention_output;
  Bytes entry;          // the hidden state that enters the block
  Bytes widest;         // the largest tensor of the block
  Bytes score_buffer;   // that Megatron's score product names as its addend and never reads (baddbmm with beta 0)
  Bytes logits;         // elements of the loss, in activation bytes
  Bytes gathered_keys;  // keys and values of the whole sequence, where they are gathered
  Bytes blocks;         // double buffers of the blocks that go round for a product on a grid, at most
};

// Two blocks of weights and two of the input, or of the output where that goes round in its stead (Colossal-AI,
// parallel_2d/_operation.py: "2 is enough for all cases").
Bytes block_buffers(const Operator& op, double rows, Bytes element) {
  if (op.block_steps <= 1) return Bytes(0);
  const double in = op.in_features / op.block_steps;
  const double travelling = op.split == TensorSplit::vocabulary ? op.out_features : in;
  return element * (2 * (rows * travelling + in * op.out_features));
}

Sums sum_up(const LayerProgram& program, const Execution& execution, double tokens, double sequence) {
  Sums sums;
  const Bytes element = execution.activation_element;
  sums.entry = element * tokens * program.entry;
  for (const Step& step : program.steps) {
    const Operator* op = std::get_if<Operator>(&step);
    if (const auto* part = std::get_if<Communication>(&step);
        part != nullptr && part->axis == Axis::context && part->forward == CollectiveKind::all_gather)
      sums.gathered_keys = element * tokens * part->row_share * part->width;
    if (op == nullptr) continue;
    const double most = most_tokens(*op, tokens);
    const SavedActivations saved = saved_activations(*op, most, sequence, execution);
    const double rows = most * op->row_share;
    sums.kept += saved.kept;
    sums.attention_core += saved.attention_core;
    sums.widest = std::max(sums.widest, saved.scores);
    if (execution.style == KernelStyle::megatron_fused) sums.score_buffer = std::max(sums.score_buffer, saved.scores);
    if (op->kind == OperatorKind::norm && sums.entry == Bytes(0)) sums.entry = element * rows * op->width;
    if (op->tensors) sums.widest = std::max(sums.widest, element * tokens * op->tensors->output);
    if (op->kind == OperatorKind::convolution || op->kind == OperatorKind::recurrent) sums.linear_inputs += saved.kept;
    if (op->kind == OperatorKind::linear) {
      sums.linear_inputs += saved.kept;
      sums.blocks = std::max(sums.blocks, block_buffers(*op, rows, element));
      sums.linear_gradients += element * rows * op->out_features;
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
      elements += most_tokens(*op, tokens) * op->row_share * op->out_features * shares[i].kept;
    else if (const auto& part = std::get<Communication>(program.steps[i]);
             part.forward == CollectiveKind::reduce_scatter)
      elements += tokens * part.row_share * part.width /
                  static_cast<double>(part.ranks > 0 ? part.ranks : strategy.mesh.tensor);
  }
  return execution.activation_element * elements;
}

// Full tensors of the tensor-parallel collectives of one kind that the forward pass runs. What it gathers the backward
// pass scatters.
Bytes held_bytes(const LayerProgram& program, CollectiveKind forward, const Execution& execution, double tokens) {
  double elements = 0;
  for (const Step& step : program.steps)
    if (const auto* part = std::get_if<Communication>(&step);
        part != nullptr && part->axis == Axis::tensor && part->forward == forward)
      elements += tokens * part->row_share * part->width;
  return execution.activation_element * elements;
}

Bytes widest_gathered(const LayerProgram& program, const Execution& execution, double tokens) {
  double elements = 0;
  for (const Step& step : program.steps)
    if (const auto* part = std::get_if<Communication>(&step);
        part != nullptr && part->axis == Axis::tensor && part->forward == CollectiveKind::all_gather)
      elements = std::max(elements, tokens * part->row_share * part->width);
  return execution.activation_element * elements;
}

// Copies of the logits in flight beside what the loss keeps, in 16-bit logits.
struct LossCopies {
  double forward = 1;
  double backward = 1;
  double stranded = 0;  // beside those, backward
};

// The 16-bit logits and their gradient; Megatron-LM's loss works in place. Eager PyTorch adds an fp32 copy forward, and
// two fp32 gradients backward (of the loss and of log_softmax). Its loss on divided logits holds two fp32 copies
// forward and three backward (torch/distributed/tensor/parallel/loss.py). What eager PyTorch reserves is one copy more:
// the loss frees the 16-bit logits before its backward pass, and their segment is too small for a tensor of fp32
// (c10/cuda/CUDACachingAllocator.cpp: a block beyond 10 MiB has a segment of its own and is never joined to another's).
LossCopies loss_copies(KernelStyle style, bool divided, PeakKind peak) {
  if (style == KernelStyle::nanotron) return {3, 1};
  if (style != KernelStyle::eager) return {1, 1};
  LossCopies copies = divided ? LossCopies{5, 6} : LossCopies{3, 4};
  if (peak != PeakKind::allocated) copies.stranded = 1;
  return copies;
}

}  // namespace

BlockMemory block_memory(const LayerProgram& program, BlockRole role, const Strategy& strategy, Recompute recompute,
                         const Execution& execution, double tokens, double sequence) {
  const Sums sums = sum_up(program, execution, tokens, sequence);
  BlockMemory memory;
  if (strategy.keeps_gather_buffers) memory.gathered = widest_gathered(program, execution, tokens);
  if (strategy.holds_collective_buffers) {
    memory.held = held_bytes(program, CollectiveKind::reduce_scatter, execution, tokens);
    memory.held_backward = held_bytes(program, CollectiveKind::all_gather, execution, tokens);
  }
  if (role == BlockRole::head) {
    memory.widest = sums.logits * 2;  // in fp32
    const LossCopies copies =
        strategy.fused_loss ? LossCopies{0, 0} : loss_copies(execution.style, strategy.mesh.tensor > 1, strategy.peak);
    memory.kept = strategy.fused_loss ? sums.linear_inputs * 2 : sums.kept;
    memory.kept_for_weights = sums.linear_inputs + sums.linear_gradients;
    memory.forward_extra = sums.logits * copies.forward + sums.blocks;
    memory.stranded = sums.logits * copies.stranded;
    memory.backward_extra = sums.logits * (copies.backward + copies.stranded) + sums.blocks;
    return memory;
  }
  memory.widest = sums.widest;
  const Bytes in_flight = sums.widest * 2;  // the widest gradient and the one that it makes
  memory.kept_for_weights = sums.linear_inputs + sums.linear_gradients;
  memory.forward_extra = std::max(sums.widest, sums.gathered_keys) + sums.score_buffer + sums.blocks;
  // With their gradients.
  memory.backward_extra = std::max(in_flight, sums.gathered_keys * 2) + sums.score_buffer + sums.blocks;
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
    case Recompute::operators: {
      const Bytes dropped = dropped_bytes(program, strategy.recompute_operators, execution, tokens, sequence);
      memory.kept = sums.kept - dropped;
      memory.backward_extra += dropped;
      break;
    }
  }
  return memory;
}

}  // namespace echelon
