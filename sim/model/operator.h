// One operator of a model: what it computes on each token, as plain numbers.
//
// Everything scales with `tokens`, the tokens of one micro-batch that reach one rank's copy of the operator, but
// for attention's core, which also grows with the sequence. The formulas:
//   linear      forward 2*rows*in*out FLOPs; the input and the weight gradient cost as much each
//   attention   forward 2*heads*(qk_dim + v_dim)*pairs FLOPs, pairs = query-key pairs not masked;
//               backward 2.5x forward with recomputed scores (FlashAttention-2, arXiv:2307.08691, section 3.2), 2x
//               without
//   the rest    memory-bound: priced by the bytes that they move (sim/model/kernel_style.h)
// Split parts (a tensor-parallel shard, a context-parallel slice) are operators too, with smaller numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/base/enum_names.h"
#include "sim/base/units.h"

namespace echelon {

enum class OperatorKind {
  embedding,      // gather rows of a table
  position,       // learned absolute positions: gather and add
  norm,           // LayerNorm or RMSNorm over `width`
  linear,         // matrix product with a weight; `experts` > 1 is a grouped product
  rotary,         // rotary position embedding on queries and keys
  attention,      // softmax(Q K^T) V
  activation,     // pointwise non-linearity, gated or not
  residual,       // (bias +) (dropout +) residual add
  router,         // softmax or sigmoid, top-k and bookkeeping of a mixture of experts (its matrix product is a linear)
  permute,        // gather tokens by expert, or scatter them back and weigh them
  state_space,    // selective scan of a Mamba-2 layer with its short convolution
  cross_entropy,  // softmax and loss over `width` = vocabulary
};

template <>
inline constexpr auto enum_names<OperatorKind> = std::to_array<EnumName<OperatorKind>>({
    {OperatorKind::embedding, "embedding"},
    {OperatorKind::position, "position"},
    {OperatorKind::norm, "norm"},
    {OperatorKind::linear, "linear"},
    {OperatorKind::rotary, "rotary"},
    {OperatorKind::attention, "attention"},
    {OperatorKind::activation, "activation"},
    {OperatorKind::residual, "residual"},
    {OperatorKind::router, "router"},
    {OperatorKind::permute, "permute"},
    {OperatorKind::state_space, "state_space"},
    {OperatorKind::cross_entropy, "cross_entropy"},
});

// How Megatron's tensor parallelism divides an operator (arXiv:1909.08053, section 3).
enum class TensorSplit {
  none,        // every rank does the whole operator (with sequence parallelism: on its share of the tokens)
  column,      // linear: output features divided; its input is needed whole
  row,         // linear: input features divided; its output is a partial sum
  inner,       // pointwise work or attention between a column and a row split: its width or heads divided
  vocabulary,  // embedding table, output projection or loss divided by vocabulary rows
  replicated,  // a weight that is whole on every rank (MLA down-projections, router); tokens are divided as for `none`
};

enum class AttentionKernel {
  unfused,
  flash,        // FlashAttention-2 or what the device's curves hold in its place
  flash_1,      // the first FlashAttention
  flash_triton  // its first implementation in Triton, as llm-foundry calls it
};

template <>
inline constexpr auto enum_names<AttentionKernel> = std::to_array<EnumName<AttentionKernel>>({
    {AttentionKernel::unfused, "unfused"},
    {AttentionKernel::flash, "flash"},
    {AttentionKernel::flash_1, "flash_1"},
    {AttentionKernel::flash_triton, "flash_triton"},
});

struct AttentionShape {
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t qk_head_dim = 0;
  std::int64_t v_head_dim = 0;
  std::int64_t window = 0;  // tokens a query looks back at; 0 = all
  bool causal = true;
};

struct Operator {
  std::string name;
  OperatorKind kind = OperatorKind::linear;
  TensorSplit split = TensorSplit::none;

  double row_share = 1;  // rows = tokens * row_share: 1/tp under sequence parallelism, top_k for routed experts, ...
  double saved_input_share = 1;  // linear: share of its input kept for backward (1/tp where it is gathered again)
  double in_features = 0;        // linear: K; embedding: rows of the table
  double out_features = 0;       // linear: N; embedding: width of a row
  double width = 0;  // features of a row that a pointwise operator works on (output side for a gated activation)
  std::int64_t experts = 1;       // linear: weights side by side on this rank; rows are spread over them
  bool routed = false;            // belongs to the routed experts (expert parallelism divides it)
  double copies = 1;              // routed: experts that each token goes to
  bool gated = false;             // activation: two inputs of `width`
  bool root_mean_square = false;  // norm: RMSNorm, for which eager PyTorch had no kernel of its own
  bool transposed_of = false;     // linear: shares the embedding's table (tied); has no weight of its own
  AttentionShape attention;       // attention and rotary only
  double merged_partials = 0;     // attention: partial results merged into the first (steps of a ring)
  double busiest = 1;             // time on the rank with the most of this work over the mean of all ranks
  double parameters = 0;          // trainable elements held by this rank for this operator, biases included
  double state_flops = 0;         // state_space: forward FLOPs of a row
};

// Forward, input-gradient and weight-gradient FLOPs.
struct OperatorFlops {
  Flops forward;
  Flops backward_input;
  Flops backward_weight;
};

// FLOPs that are executed on `tokens` tokens of this rank; `sequence`: the full length that attention spans. Matrix
// products and attention only; pointwise work counts zero, as the field counts (arXiv:2104.04473 appendix, PaLM
// appendix B). Flash attention skips masked blocks and recomputes scores in the backward pass; unfused attention does
// neither.
OperatorFlops executed_flops(const Operator& op, double tokens, double sequence, AttentionKernel kernel);

// Model FLOPs of one forward pass of the operator as MFU counts them: attention unmasked (PaLM appendix B).
Flops model_forward_flops(const Operator& op, double tokens, double sequence);

// Mean number of keys that a query attends to.
double mean_attended_keys(const AttentionShape& shape, double sequence);

}  // namespace echelon
