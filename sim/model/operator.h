// One operator of a model: what it computes on each token, as plain numbers.
//
// Everything scales with `tokens`, the tokens of one micro-batch that reach one rank's copy of the operator, but
// for attention's core, which also grows with the sequence. The formulas:
//   linear      forward 2*rows*in*out FLOPs; the input and the weight gradient cost as much each
//   attention   forward 2*heads*(qk_dim + v_dim)*pairs FLOPs, pairs = query-key pairs not masked;
//               backward 2.5x forward with recomputed scores (FlashAttention-2, arXiv:2307.08691, section 3.2), 2x
//               without
//   convolution forward 2*positions*taps*(in/groups)*out FLOPs; the input and the weight gradient cost as much each
//   recurrent   forward 2*positions*gates*hidden*(in + hidden) FLOPs in each direction; likewise
//   the rest    memory-bound: priced by the bytes that they move (sim/model/kernel_style.h)
// Split parts (a tensor-parallel shard, a context-parallel slice) are operators too, with smaller numbers.
#pragma once

#include <cstdint>
#include <optional>
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
  // These occur in operator graphs only (sim/model/graph_model.h).
  convolution,  // in_features and out_features are channels, rows the positions of its output
  recurrent,    // LSTM or GRU over the rows in order
  batch_norm,   // statistics over the batch
  elementwise,  // pointwise, of one input or several
  pooling,      // maximum or mean over windows
  concat,       // inputs side by side
  custom,       // what its author says
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
    {OperatorKind::convolution, "convolution"},
    {OperatorKind::recurrent, "recurrent"},
    {OperatorKind::batch_norm, "batch_norm"},
    {OperatorKind::elementwise, "elementwise"},
    {OperatorKind::pooling, "pooling"},
    {OperatorKind::concat, "concat"},
    {OperatorKind::custom, "custom"},
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
  double keys =
      0;  // keys of a sequence, where they are not as many as the workload's sequence has tokens; 0 = they are
  friend bool operator==(const AttentionShape&, const AttentionShape&) = default;
};

// Forward, input-gradient and weight-gradient FLOPs.
struct OperatorFlops {
  Flops forward;
  Flops backward_input;
  Flops backward_weight;
  friend bool operator==(const OperatorFlops&, const OperatorFlops&) = default;
};

struct ConvolutionShape {
  double taps = 1;        // kernel height * kernel width
  double groups = 1;      // of channels that do not see each other
  double input_rows = 1;  // positions of a sample's input
  friend bool operator==(const ConvolutionShape&, const ConvolutionShape&) = default;
};

struct RecurrentShape {
  double gates = 4;  // 4: LSTM; 3: GRU
  double steps = 1;  // positions that run one after another
  double directions = 1;
  friend bool operator==(const RecurrentShape&, const RecurrentShape&) = default;
};

// What an operator does to one token, where it is said rather than derived from its shape.
struct StatedWork {
  OperatorFlops flops;
  double forward_elements = 0;  // read and written, in elements of the activation type
  double backward_elements = 0;
  Bytes forward_bytes;  // beside those
  Bytes backward_bytes;
  double forward_kernels = 1;
  double backward_kernels = 1;
  friend bool operator==(const StatedWork&, const StatedWork&) = default;
};

// Along which dimension a graph's operator is divided over the ranks of a tensor group; all but `reduction` are
// FlexFlow's (arXiv:1807.05358, section 4), whose fourth, operators on ranks of their own, is a pipeline here.
enum class Shard {
  sample,     // of the batch; weights are whole on every rank
  attribute,  // height, or positions of a sequence; likewise
  parameter,  // channels or features of the output, and with them the weights
  reduction,  // channels or features of the input, and with them the weights: every rank has a part of every sum
};

template <>
inline constexpr auto enum_names<Shard> = std::to_array<EnumName<Shard>>({
    {Shard::sample, "sample"},
    {Shard::attribute, "attribute"},
    {Shard::parameter, "parameter"},
    {Shard::reduction, "reduction"},
});

// A tensor that an operator reads, as its producer left it.
struct GraphInput {
  Shard laid = Shard::sample;
  double elements = 0;  // of one token
  friend bool operator==(const GraphInput&, const GraphInput&) = default;
};

// Tensors of one token around an operator of a graph.
struct GraphTensors {
  double output = 0;  // elements
  double kept = 0;    // elements of its inputs or output that wait for the backward pass, if no one before keeps them
  Bytes kept_bytes;   // beside those: masks, indices
  Shard shard = Shard::sample;
  std::int64_t divided = 0;        // size of the dimension that `shard` divides; 0 = the samples
  double halo = 0;                 // attribute: elements that windows read of the neighbouring ranks' parts
  std::vector<GraphInput> inputs;  // but for the model's own, which are loaded as they are wanted
  friend bool operator==(const GraphTensors&, const GraphTensors&) = default;
};

// Who puts copies of tokens in the order of their experts, and back.
enum class Permuter {
  kernel,           // a kernel on this rank
  kernel_and_sort,  // and a second one: an all-to-all leaves them in the order of ranks
  exchange          // the exchange, as it sends or receives them
};

struct Operator {
  std::string name;
  OperatorKind kind = OperatorKind::linear;
  TensorSplit split = TensorSplit::none;

  double row_share = 1;  // rows = tokens * row_share: 1/tp under sequence parallelism, top_k for routed experts, ...
  double saved_input_share = 1;  // linear: share of its input kept for backward (1/tp where it is gathered again)
  double block_steps = 1;     // linear: products of blocks, one after another, that it is made of; this rank holds that
                              // share of its inputs and weights at once (SUMMA)
  double sequence_share = 1;  // attention: of the micro-batch's sequences, those that this rank has
  double in_features = 0;     // linear: K; embedding: rows of the table
  double out_features = 0;    // linear: N; embedding: width of a row
  double width = 0;  // features of a row that a pointwise operator works on (output side for a gated activation)
  std::int64_t experts = 1;       // linear: weights side by side on this rank; rows are spread over them
  bool routed = false;            // belongs to the routed experts (expert parallelism divides it)
  double copies = 1;              // routed: experts that each token goes to
  bool gated = false;             // activation: two inputs of `width`
  bool clamped = false;           // activation: of inputs that are limited first
  bool scaled = false;            // rotary: by sines and cosines times a factor (YaRN)
  bool root_mean_square = false;  // norm: RMSNorm, for which eager PyTorch had no kernel of its own
  bool transposed_of = false;     // linear: shares the embedding's table (tied); has no weight of its own
  AttentionShape attention;       // attention and rotary only
  double merged_partials = 0;     // attention: partial results merged into the first (steps of a ring)
  double busiest = 1;             // time on the rank with the most of this work over the mean of all ranks
  double parameters = 0;          // trainable elements held by this rank for this operator, biases included
  double state_flops = 0;         // state_space: forward FLOPs of a row
  Permuter permuter = Permuter::kernel;
  ConvolutionShape convolution;
  RecurrentShape recurrent;
  bool reads_data = false;              // all its inputs are the model's: nobody wants their gradients
  std::optional<StatedWork> stated;     // in place of what kernel_style.h would count
  std::optional<GraphTensors> tensors;  // of a graph's operator; others keep what kernel_style.h says
  friend bool operator==(const Operator&, const Operator&) = default;
};

// FLOPs that are executed on `tokens` tokens of this rank; `sequence`: the full length that attention spans. Matrix
// products and attention only; pointwise work counts zero, as the field counts (arXiv:2104.04473 appendix, PaLM
// appendix B). Flash attention skips masked blocks and recomputes scores in the backward pass; unfused attention does
// neither.
OperatorFlops executed_flops(const Operator& op, double tokens, double sequence, AttentionKernel kernel);

// Model FLOPs of one forward pass of the operator as MFU counts them: attention unmasked (PaLM appendix B).
Flops model_forward_flops(const Operator& op, double tokens, double sequence);

// Keys of a sequence: the shape's own, else as many as the workload's sequence has tokens.
double key_count(const AttentionShape& shape, double sequence);

// Mean number of keys that a query attends to.
double mean_attended_keys(const AttentionShape& shape, double sequence);

}  // namespace echelon
