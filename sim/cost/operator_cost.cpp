#include "sim/cost/operator_cost.h"

#include <algorithm>
#include <cmath>

#include "sim/model/ring_merges.h"

namespace echelon {

bool quantised(const Operator& op, const Precision& precision) {
  return precision.matrix != precision.compute && op.split != TensorSplit::vocabulary &&
         op.split != TensorSplit::replicated && element_size(precision.matrix) < element_size(precision.compute);
}

namespace {

// Bytes moved to quantise one element of a product's operands: of what it reads forward, of the gradient that it reads
// backward, and of what it read forward once more, for the weight gradient.
struct QuantiseBytes {
  double input;
  double gradient;
  double again;
};

// With one scale for its tensor: 16 bits read for the maximum, 16 read and 8 written for the cast. Where 8-bit products
// want both operands along the sum, the weight gradient takes second casts, which know the maximum already (torchao's
// dynamically scaled float8 linear keeps the 16-bit input; Transformer Engine casts and transposes). Blackwell's take
// any layout (Transformer Engine, is_non_tn_fp8_gemm_supported: compute capability 10.0). MXFP8 has no maximum of the
// tensor: 16 bits read, two layouts of 8 bits and a scale for 32 of them written at once.
QuantiseBytes quantise_bytes(DataType type, const Device& device) {
  constexpr double scaled = 1 + 1.0 / 32;
  if (type == DataType::mxfp8) return {2 + 2 * scaled, 2 + 2 * scaled, 0};
  const bool any_layout = type == DataType::fp8 && device.peak_of(DataType::mxfp8).value() > 0;
  if (any_layout) return {2 + 2 + 1, 2 + 2 + 1, 0};
  return {2 + 2 + 1, 2 + 2 + 1 + 1, 2 + 1};
}

// Kernels that quantise one operand. With one scale for the tensor: the maximum, the scale and the cast. Transformer
// Engine's MXFP8 is one. NVFP4's transforms were not counted: one.
double quantise_kernels(DataType type, const Precision& precision) {
  return type == DataType::fp8 && !precision.fp8_rowwise_scaling ? 3 : 1;
}

// Row-wise scales need an fp32 maximum for each row and column: one more read of the tensor each way.
constexpr double rowwise_extra_bytes = 4;

Seconds add(Seconds& sum, const Priced& priced, Ground& ground) {
  sum += priced.time;
  ground = std::max(ground, priced.ground);
  return priced.time;
}

void add_accumulation(double weights, const CostContext& context, OperatorCost& cost) {
  if (context.fused_accumulation) return;
  add(cost.weight_gradient, memory_bound_time(*context.device, context.accumulation * weights, 0), cost.ground);
}

// Megatron-Core's TEGroupedMLP copies the rows that come to each expert into a buffer where they make whole blocks, and
// what the second product makes of them back; their gradients the other way (transformer/moe/experts.py, fp8_padding).
// The probabilities go with the rows: a kernel more.
void pad_experts(const Operator& op, const CostContext& context, double elements, OperatorCost& cost) {
  const double kernels = op.split == TensorSplit::row ? 1 : 2;
  const Bytes moved = context.execution.activation_element * (2 * elements);
  add(cost.forward, memory_bound_time(*context.device, moved, kernels), cost.ground);
  add(cost.input_gradient, memory_bound_time(*context.device, moved, kernels), cost.ground);
  cost.forward_kernels += kernels;
  cost.backward_kernels += kernels;
}

void cost_linear(const Operator& op, const CostContext& context, OperatorCost& cost) {
  const double experts = static_cast<double>(std::max<std::int64_t>(1, op.experts));
  const double rows = context.tokens * op.row_share / experts;
  const double steps = op.block_steps;
  const double in = op.in_features / steps;
  const DataType type = quantised(op, context.precision) ? context.precision.matrix : context.precision.compute;
  const Device& device = *context.device;
  cost.ground = Ground::measured;
  // What a kernel of its own would move, less its reading of the product's result.
  const Bytes buffer = context.accumulation - element_size(context.precision.compute);
  const auto product = [&](Seconds& sum, GemmShape shape) {
    shape.batching = op.experts > 1 ? GemmBatch::grouped : GemmBatch::strided;
    const bool fused = shape.role == GemmRole::weight_gradient && context.fused_accumulation;
    if (fused) shape.buffer_bytes = buffer.value();
    const Priced one = gemm_time(device, type, shape);
    sum += one.time * steps;
    cost.ground = std::max(cost.ground, one.ground);
  };
  product(cost.forward, {rows, op.out_features, in, experts});
  if (!op.reads_data) product(cost.input_gradient, {rows, in, op.out_features, experts, GemmRole::input_gradient});
  product(cost.weight_gradient, {in, op.out_features, rows, experts, GemmRole::weight_gradient});
  const double weights = in * op.out_features * experts;
  add_accumulation(weights, context, cost);
  cost.forward_kernels += steps - 1;
  cost.backward_kernels += 2 * (steps - 1);
  if (type == context.precision.compute) return;
  const double extra = context.precision.fp8_rowwise_scaling ? rowwise_extra_bytes : 0;
  const bool casts_shard = context.precision.fp8_activation_gather && op.split == TensorSplit::column;
  const double cast_share =
      casts_shard ? 1 / static_cast<double>(context.groups[static_cast<std::size_t>(Axis::tensor)].ranks) : 1;
  const double inputs = rows * experts * in;
  const double outputs = rows * experts * op.out_features;
  const double cast_weights = weights * context.weight_cast_share;
  const QuantiseBytes bytes = quantise_bytes(type, device);
  const double read = inputs * cast_share + cast_weights;
  const Bytes forward = Bytes(bytes.input + extra) * read;
  const Bytes backward = Bytes(bytes.gradient + extra) * outputs + Bytes(bytes.again) * read;
  // Transformer Engine's split_quantize() runs the kernels for one expert after the other.
  const bool apart = op.experts > 1 && !context.execution.fused_experts;
  const double calls = apart ? experts * quantise_kernels(type, context.precision) : 0;
  add(cost.forward, memory_bound_time(device, forward, apart ? calls : 4), cost.ground);
  add(cost.input_gradient, memory_bound_time(device, backward, apart ? calls : 2), cost.ground);
  cost.forward_kernels += apart ? 0 : 4;
  cost.backward_kernels += apart ? 0 : 2;
  cost.forward_calls += calls;
  cost.backward_calls += calls;
  if (op.experts > 1 && context.pads_experts)
    pad_experts(op, context, op.split == TensorSplit::row ? outputs : inputs, cost);
}

// Parts that a long sum of products is cut into, each on multiprocessors of its own, where the result alone would leave
// them idle: as many as fill the device with tiles of 128 by 128, of 512 terms at least (split-K in NVIDIA's "CUTLASS
// documentation, efficient GEMM").
double summed_apart(const Device& device, double m, double n, double k, double batch) {
  const double tiles = std::ceil(m / 128) * std::ceil(n / 128) * batch;
  return std::max(1.0, std::min(std::floor(static_cast<double>(device.multiprocessors) / tiles), std::floor(k / 512)));
}

// As implicit matrix products (arXiv:1410.0759, section 3.1): positions by channels with the windows' elements between
// them, of which memory holds each input once. The input's gradient has a row for each position of the input; a stride
// leaves each of them a share of the taps. No convolution was measured: the ground is the product curve's, scaled.
void cost_convolution(const Operator& op, const CostContext& context, OperatorCost& cost) {
  const ConvolutionShape& shape = op.convolution;
  const double in = op.in_features / shape.groups;
  const double out = op.out_features / shape.groups;
  const double rows = context.tokens * op.row_share;
  const double input_rows = context.tokens * shape.input_rows;
  const double taps_by_input = shape.taps * rows / input_rows;
  const double weights = shape.taps * in * out;
  const DataType type = context.precision.compute;
  const Device& device = *context.device;
  cost.ground = Ground::scaled;
  add(cost.forward,
      gemm_time(device, type, {rows, out, in * shape.taps, shape.groups, GemmRole::forward, input_rows * in + weights}),
      cost.ground);
  if (!op.reads_data)
    add(cost.input_gradient,
        gemm_time(device, type,
                  {input_rows, in, out * taps_by_input, shape.groups, GemmRole::input_gradient, rows * out + weights}),
        cost.ground);
  const double parts = summed_apart(device, in * shape.taps, out, rows, shape.groups);
  add(cost.weight_gradient,
      gemm_time(device, type,
                {in * shape.taps, out, rows / parts, shape.groups * parts, GemmRole::weight_gradient,
                 (input_rows * in + rows * out) / parts}),
      cost.ground);
  add_accumulation(weights * shape.groups, context, cost);
}

// The inputs' products run for all steps at once, the states' step by step; backward the same, but for the weights'
// gradient, which sums over all steps in one product (arXiv:1604.01946, section 3). Directions run one after another.
void cost_recurrent(const Operator& op, const CostContext& context, OperatorCost& cost) {
  const RecurrentShape& cell = op.recurrent;
  const Device& device = *context.device;
  const DataType type = context.precision.compute;
  const double gates = cell.gates * op.out_features;
  const double rows = context.tokens * op.row_share;
  const double batch = rows / cell.steps;
  const auto both = [&](Seconds& sum, const GemmShape& shape, double count) {
    const Priced one = gemm_time(device, type, shape);
    sum += one.time * (count * cell.directions);
    cost.ground = std::max(cost.ground, one.ground);
  };
  cost.ground = Ground::scaled;
  both(cost.forward, {rows, gates, op.in_features}, 1);
  both(cost.forward, {batch, gates, op.out_features}, cell.steps);
  if (!op.reads_data) both(cost.input_gradient, {rows, op.in_features, gates, 1, GemmRole::input_gradient}, 1);
  both(cost.input_gradient, {batch, op.out_features, gates, 1, GemmRole::input_gradient}, cell.steps);
  both(cost.weight_gradient, {op.in_features + op.out_features, gates, rows, 1, GemmRole::weight_gradient}, 1);
  const double weights = cell.directions * gates * (op.in_features + op.out_features);
  add_accumulation(weights, context, cost);
}

// Time over FlashAttention-2's: around 2 for the first version; 1.3 to 1.5 forward and around 2 backward for the first
// one in Triton (arXiv:2307.08691, section 4.1).
struct AttentionSlowdown {
  double forward = 1;
  double backward = 1;
};

AttentionSlowdown slowdown_of(AttentionKernel kernel) {
  if (kernel == AttentionKernel::flash_1) return {2, 2};
  if (kernel == AttentionKernel::flash_triton) return {1.4, 2};
  return {};
}

double attended_share(const AttentionShape& shape, const CostContext& context) {
  return shape.causal && shape.window == 0 ? context.attended_share : 1;
}

// The one whose kernels a framework runs, of those that the device has curves of.
AttentionImplementation implementation_of(const CostContext& context) {
  if (context.execution.style != KernelStyle::transformer_engine) return AttentionImplementation::flash_attention_2;
  const auto& known = context.device->attention;
  const bool narrow = context.precision.fp8_attention && std::any_of(known.begin(), known.end(), [](const auto& curve) {
                        return curve.implementation == AttentionImplementation::cudnn_mxfp8;
                      });
  return narrow ? AttentionImplementation::cudnn_mxfp8 : AttentionImplementation::cudnn;
}

// Transformer Engine quantises queries, keys and values before, and the result's gradient before the backward pass
// (pull request 768, "fp8_dpa").
void cost_attention_casts(const AttentionWork& work, const CostContext& context, OperatorCost& cost) {
  const double read = work.batch * (work.heads * work.queries * work.qk_head_dim +
                                    work.kv_heads * work.keys * (work.qk_head_dim + work.v_head_dim));
  const double returned = work.batch * work.heads * work.queries * work.v_head_dim;
  const QuantiseBytes bytes = quantise_bytes(DataType::mxfp8, *context.device);
  add(cost.forward, memory_bound_time(*context.device, Bytes(bytes.input) * read, 3), cost.ground);
  add(cost.input_gradient, memory_bound_time(*context.device, Bytes(bytes.gradient) * returned, 1), cost.ground);
  cost.forward_kernels += 3;
  cost.backward_kernels += 1;
}

void cost_flash_attention(const Operator& op, const CostContext& context, OperatorCost& cost) {
  const AttentionShape& shape = op.attention;
  AttentionWork work;
  work.batch = context.sequences * op.sequence_share;
  work.heads = static_cast<double>(shape.heads);
  work.kv_heads = static_cast<double>(shape.kv_heads);
  work.queries = context.tokens * op.row_share / work.batch;
  work.keys = key_count(shape, context.sequence);
  work.qk_head_dim = static_cast<double>(shape.qk_head_dim);
  work.v_head_dim = static_cast<double>(shape.v_head_dim);
  work.attended_keys = mean_attended_keys(shape, context.sequence) * attended_share(shape, context);
  work.causal = shape.causal;
  work.implementation = implementation_of(context);
  const Priced forward = attention_time(*context.device, context.precision.compute, work, AttentionPass::forward);
  if (!skips_before_window(work.implementation, AttentionPass::backward)) {
    AttentionShape whole = shape;
    whole.window = 0;
    work.attended_keys = mean_attended_keys(whole, context.sequence) * attended_share(whole, context);
  }
  const Priced backward = attention_time(*context.device, context.precision.compute, work, AttentionPass::backward);
  const AttentionKernel kernel = context.execution.attention;
  const AttentionSlowdown slowdown = slowdown_of(kernel);
  cost.forward += forward.time * slowdown.forward;
  cost.input_gradient += backward.time * slowdown.backward;
  cost.ground = std::max(forward.ground, backward.ground);
  if (kernel != AttentionKernel::flash) cost.ground = std::max(cost.ground, Ground::scaled);
  if (work.implementation == AttentionImplementation::cudnn_mxfp8)
    cost_attention_casts(work, context, cost);
  else if (context.precision.fp8_attention)
    cost.ground = std::max(cost.ground, Ground::scaled);
}

// Two batched products forward, four backward; masking and softmax are memory-bound kernels priced by their traffic.
void cost_unfused_attention(const Operator& op, const CostContext& context, OperatorCost& cost) {
  const AttentionShape& shape = op.attention;
  const double sequences = context.sequences * op.sequence_share;
  const double batch = sequences * static_cast<double>(shape.heads);
  const double queries = context.tokens * op.row_share / sequences;
  const double qk = static_cast<double>(shape.qk_head_dim);
  const double v = static_cast<double>(shape.v_head_dim);
  const double keys = key_count(shape, context.sequence);
  const Device& device = *context.device;
  const DataType type = context.precision.compute;
  cost.ground = Ground::measured;
  add(cost.forward, gemm_time(device, type, {queries, keys, qk, batch}), cost.ground);
  add(cost.forward, gemm_time(device, type, {queries, v, keys, batch}), cost.ground);
  add(cost.input_gradient, gemm_time(device, type, {queries, keys, v, batch}), cost.ground);   // dP
  add(cost.input_gradient, gemm_time(device, type, {keys, v, queries, batch}), cost.ground);   // dV
  add(cost.input_gradient, gemm_time(device, type, {queries, qk, keys, batch}), cost.ground);  // dQ
  add(cost.input_gradient, gemm_time(device, type, {keys, qk, queries, batch}), cost.ground);  // dK
  cost.forward_kernels += 1;
  cost.backward_kernels += 2;
}

// The gradient of a table is dense: zeroed in the compute type, filled by the scatter that traffic() counts, and added
// to its buffer as a product's is.
void cost_table_gradient(const Operator& op, const CostContext& context, OperatorCost& cost) {
  const double elements = op.in_features * op.out_features;
  const Bytes moved = (element_size(context.precision.compute) + context.accumulation) * elements;
  cost.weight_gradient += memory_bound_time(*context.device, moved, 1).time;
}

}  // namespace

namespace {

bool is_product(OperatorKind kind) {
  return kind == OperatorKind::linear || kind == OperatorKind::attention || kind == OperatorKind::convolution ||
         kind == OperatorKind::recurrent;
}

// Of a ring that is one operation for autograd, each step but the first launches its attention and its merges by calls
// that keep no books.
void call_merges(const Operator& op, const CostContext& context, OperatorCost& cost) {
  if (!merges_inside_one_operation(context.execution.style)) return;
  const OperatorTraffic merges = ring_merges(op, 0, context.execution.style);
  cost.forward_kernels -= merges.forward.kernels;
  cost.backward_kernels -= merges.backward.kernels;
  cost.forward_calls += merges.forward.kernels + op.merged_partials;
  cost.backward_calls += merges.backward.kernels + op.merged_partials;
}

// Floating-point work that an author states runs at the rate of a large square product, unless its traffic takes
// longer. Nobody knows better.
void cost_custom(const Operator& op, const CostContext& context, OperatorCost& cost) {
  constexpr double side = 4096;
  if (op.stated->flops == OperatorFlops{}) return;
  const Seconds product = gemm_time(*context.device, context.precision.compute, {side, side, side}).time;
  const FlopRate rate(2 * side * side * side / product.value());
  cost.forward = std::max(cost.forward, cost.flops.forward / rate);
  cost.input_gradient = std::max(cost.input_gradient, cost.flops.backward_input / rate);
  cost.weight_gradient = std::max(cost.weight_gradient, cost.flops.backward_weight / rate);
  cost.ground = Ground::datasheet;
}

// HFU counts attention as MFU does (PaLM, arXiv:2204.02311, appendix B): all keys that a window leaves, also those that
// are masked and that kernels skip.
void count_whole(const Operator& op, const CostContext& context, OperatorFlops& flops) {
  const double whole = model_forward_flops(op, context.tokens, context.sequence) / flops.forward;
  flops.forward *= whole;
  flops.backward_input *= whole;
}

}  // namespace

OperatorCost operator_cost(const Operator& op, const CostContext& context) {
  OperatorCost cost;
  cost.flops = executed_flops(op, context.tokens, context.sequence, context.execution.attention);
  if (op.kind == OperatorKind::attention) count_whole(op, context, cost.flops);
  const OperatorTraffic moved = traffic(op, context.tokens, context.sequence, context.execution);
  cost.forward_kernels = moved.forward.kernels;
  cost.backward_kernels = moved.backward.kernels;
  if (op.kind == OperatorKind::attention && op.merged_partials > 0) call_merges(op, context, cost);
  const bool product = is_product(op.kind);
  if (op.kind == OperatorKind::linear) cost_linear(op, context, cost);
  if (op.kind == OperatorKind::convolution) cost_convolution(op, context, cost);
  if (op.kind == OperatorKind::recurrent) cost_recurrent(op, context, cost);
  if (op.kind == OperatorKind::embedding) cost_table_gradient(op, context, cost);
  if (op.kind == OperatorKind::attention) {
    if (context.execution.attention == AttentionKernel::unfused)
      cost_unfused_attention(op, context, cost);
    else
      cost_flash_attention(op, context, cost);
  }
  const double free_kernels = product ? 1 : 0;  // the product's own launch is in its curve
  const auto pointwise = [&](const Traffic& part) {
    return memory_bound_time(*context.device, part.moved,
                             part.moved > Bytes(0) ? std::max(0.0, part.kernels - free_kernels) : 0);
  };
  const Priced forward = pointwise(moved.forward);
  const Priced backward = pointwise(moved.backward);
  cost.forward += forward.time;
  cost.input_gradient += backward.time;
  for (Seconds* time : {&cost.forward, &cost.input_gradient, &cost.weight_gradient}) *time *= op.busiest;
  if (!product) cost.ground = std::max(forward.ground, backward.ground);
  if (op.kind == OperatorKind::custom) cost_custom(op, context, cost);
  return cost;
}

}  // namespace echelon
