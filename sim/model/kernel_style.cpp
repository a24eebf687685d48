#include "sim/model/kernel_style.h"

#include <array>

#include "sim/model/ring_merges.h"

namespace echelon {

namespace {

// Passes over a row of `width` activation elements (a read or a write of every element is one pass) and kernels
// launched.
struct Passes {
  double forward;
  double forward_kernels;
  double backward;
  double backward_kernels;
};

struct StyleRow {
  OperatorKind kind;
  std::array<Passes, 5> by_style;  // eager, compiled, megatron_fused, transformer_engine, nanotron
};

// Counted from the pointwise operations that each style runs, two-byte activations:
// - norm: fused reads x, writes y; backward reads x and dy, writes dx. Eager RMSNorm goes through fp32 temporaries
//   (cast, square, mean, rsqrt, product, cast, product with the weight: 36 bytes an element forward).
// - rotary: fused reads and writes q and k; eager casts to fp32 pairs, multiplies and casts back; nanotron also makes
//   q, k and v contiguous (half as much again as q and k, read and written).
// - attention: one fused kernel each way; nanotron makes the lengths of the sequences anew in six small ones.
// - activation: one or two inputs and one output; eager runs the non-linearity and the gate's product apart.
// - residual: two inputs and one output; the backward pass adds the two branches' gradients.
// - cross_entropy: Megatron's vocab-parallel loss walks the fp32 logits (cast, max, subtract, exp, sum, divide), eager
//   PyTorch casts and runs log_softmax, compiled code reads the logits twice and writes the gradient once.
// - router: Megatron-Core's has fp32 casts and product, top-k of the scores, and the auxiliary loss: 11 kernels forward
//   and 9 backward with its fusions (moe_router_fusion), 27 and 16 without. Estimated from the operations of a router,
//   not read off a trace.
// - cross_entropy, measured on H100 (8,192 tokens, 131,072 words; linkedin/Liger-Kernel benchmark/data/
//   all_benchmark_data_megatron.csv @7097ab9c4f1f): Megatron's unfused loss takes the time of 22 and 10.4 passes over
//   16-bit logits, the Triton kernel that Transformer Engine has too that of 3 and 6.4; on B200 both of the latter take
//   that of 8.9 (MooreThreads/SimuMax configs/system/b200_bf16_ceperm.json @e691807a7ef8, ce_fusion). nanotron's loss
//   is Megatron's, operation by operation (its parallel/tensor_parallel/functional.py).
// - permute: there, counting tokens for each expert and rank with two copies to the host, and the fused permutation and
//   sort of chunks make 19 kernels before the exchange and 3 behind it: 11 each. Estimated likewise.
// - embedding: gather, and scatter-add into an fp32 gradient.
constexpr auto style_table = std::to_array<StyleRow>({
    {OperatorKind::embedding, {{{2, 1, 4, 3}, {2, 1, 4, 3}, {3, 6, 4, 4}, {3, 6, 4, 4}, {2, 1, 4, 3}}}},
    {OperatorKind::position, {{{3, 2, 3, 2}, {2, 1, 3, 2}, {3, 2, 3, 2}, {3, 2, 3, 2}, {3, 2, 3, 2}}}},
    {OperatorKind::norm, {{{18, 7, 30, 14}, {2, 1, 4, 2}, {2, 1, 3.5, 2}, {2, 1, 3.5, 2}, {2, 1, 3.5, 2}}}},
    {OperatorKind::linear, {{{0, 1, 0, 2}, {0, 1, 0, 2}, {0, 1, 0, 2}, {0, 1, 0, 2}, {0, 1, 0, 2}}}},
    {OperatorKind::rotary, {{{9, 8, 9, 8}, {2, 1, 2, 1}, {6, 8, 6, 8}, {2, 2, 2, 2}, {5, 3, 5, 3}}}},
    {OperatorKind::attention, {{{0, 1, 0, 2}, {0, 1, 0, 2}, {0, 1, 0, 2}, {0, 1, 0, 2}, {0, 7, 0, 2}}}},
    {OperatorKind::activation, {{{2, 1, 3, 1}, {2, 1, 3, 1}, {2, 1, 3, 1}, {2, 1, 3, 1}, {2, 1, 3, 1}}}},
    {OperatorKind::residual, {{{3, 1, 3, 1}, {2, 1, 2, 1}, {3, 1, 3, 1}, {3, 1, 3, 1}, {3, 1, 3, 1}}}},
    {OperatorKind::router, {{{12, 8, 12, 10}, {6, 4, 6, 5}, {12, 27, 12, 16}, {6, 11, 6, 9}, {12, 8, 12, 10}}}},
    {OperatorKind::permute, {{{4, 4, 4, 4}, {3, 3, 3, 3}, {3, 11, 3, 3}, {2, 11, 2, 3}, {4, 4, 4, 4}}}},
    {OperatorKind::state_space, {{{14, 6, 28, 10}, {10, 4, 20, 6}, {10, 4, 20, 6}, {10, 4, 20, 6}, {14, 6, 28, 10}}}},
    {OperatorKind::convolution, {{{0, 1, 0, 2}, {0, 1, 0, 2}, {0, 1, 0, 2}, {0, 1, 0, 2}, {0, 1, 0, 2}}}},
    {OperatorKind::cross_entropy,
     {{{7, 3, 11, 3}, {3, 1, 3, 1}, {22, 10, 10.4, 4}, {3, 4, 6.4, 2}, {22, 10, 10.4, 3}}}},
});

Passes passes_of(OperatorKind kind, KernelStyle style) {
  for (const StyleRow& row : style_table)
    if (row.kind == kind) return row.by_style[static_cast<std::size_t>(style)];
  return {};
}

// LayerNorm has a fused kernel in every style. PyTorch's own moves no more bytes than the others but is slower: on an
// A100, 4,096 rows of 8,192, it reaches 950 GB/s forward and 492 backward, counted as two and three passes, where
// Triton's plain one reaches 1,409 (AI2, github.com/allenai/OLMo/issues/258): 3.0 and 8.6 passes at that rate.
Passes layer_norm(KernelStyle style) {
  if (style == KernelStyle::eager) return {3, 1, 8.6, 2};
  return passes_of(OperatorKind::norm, KernelStyle::megatron_fused);
}

// A gate adds an input: fused kernels read one more row forward, read one and write one more backward; eager runs
// the product apart.
Passes gated_activation(KernelStyle style) {
  if (style == KernelStyle::eager) return {5, 2, 9, 3};
  if (style == KernelStyle::nanotron) return {5, 2, 13, 4};  // and the two gradients written into one tensor
  return {3, 1, 5, 1};
}

// The ten operations of bias-GELU's forward pass one by one: the bias, the two halves of the product (a scaling by 0.5
// and one added to the hyperbolic tangent) and the tangent's argument (two scalings, a square, one added, a product).
// Three of them read two tensors. TorchScript launches them from C++: to the host they are one.
constexpr double unfused_gelu_forward = 10 * 2 + 3;

// Transformer Engine's permutation and its reverse take 2.9 us forward and 2.85 us backward for a million elements of
// copies on a B200, the time of 3.9 passes each (MooreThreads/SimuMax configs/system/b200_bf16_ceperm.json
// @e691807a7ef8, permute_fwd and permute_bwd, over the pointwise work there). Sorting chunks after an all-to-all is a
// pass in and one out. DeepEP's and HybridEP's own permutations were not found measured: a pass in and one out. Kernels
// are counted as the table has them for all three.
Passes permutation(Permuter permuter) {
  Passes passes = passes_of(OperatorKind::permute, KernelStyle::transformer_engine);
  if (permuter == Permuter::exchange) return passes;
  const double moved = permuter == Permuter::kernel ? 3.9 : 3.9 + 2;
  passes.forward = passes.backward = moved;
  return passes;
}

// Megatron-Core leaves Transformer Engine's fused kernel where sines and cosines are scaled (models/common/embeddings/
// rope_utils.py, mscale). Of queries and of keys then: forward the product with the cosines (2 passes), the turned
// halves (a negation of one and their joining, 3), the product with the sines (2), the sum (3) and the joining with
// what is not rotated, of which there is nothing (2); backward both products (4), the turn (a negation and a joining,
// 3), their sum (3), and the gradients of the two slices, zeroed and copied, and their sum (7). Sines and cosines
// themselves are small: 12 kernels.
constexpr Passes scaled_rotary{12, 2 * 6 + 12, 17, 2 * 10};

// Dropout as its own kernel (eager) or inside the fused residual kernel: one-byte masks are half a pass.
Passes residual_with_dropout(KernelStyle style) {
  if (style == KernelStyle::eager) return {5.5, 2, 5.5, 2};
  return {3.5, 1, 5.5, 2};
}

// Softmax and dropout over the score matrix of unfused attention: Megatron's masked softmax kernel reads and writes
// once; eager scales, masks and normalises in kernels of their own.
Passes unfused_scores(KernelStyle style, bool dropout) {
  Passes passes = style == KernelStyle::eager ? Passes{6, 8, 3, 8} : Passes{2, 6, 3, 9};
  if (dropout) {
    passes.forward += 2.5;
    passes.backward += 2.5;
    passes.forward_kernels += 1;
    passes.backward_kernels += 1;
  }
  return passes;
}

OperatorTraffic from_passes(const Passes& passes, double elements, Bytes element) {
  return {{element * (passes.forward * elements), passes.forward_kernels},
          {element * (passes.backward * elements), passes.backward_kernels}};
}

double rotary_width(const AttentionShape& shape) {
  return static_cast<double>((shape.heads + shape.kv_heads) * shape.qk_head_dim);
}

bool has_bias(const Operator& op) {
  const double products = op.convolution.taps / op.convolution.groups * static_cast<double>(op.experts);
  const double weight = op.transposed_of ? 0 : op.in_features / op.block_steps * op.out_features * products;
  return op.parameters > weight;
}

}  // namespace

namespace {

// Copies of keys and values for every query head: read once, written for each; the backward pass sums them up again.
void add_repeated_heads(const Operator& op, double rows, Bytes element, OperatorTraffic& moved) {
  const AttentionShape& shape = op.attention;
  if (shape.kv_heads >= shape.heads) return;
  const double width = static_cast<double>((shape.heads + shape.kv_heads) * (shape.qk_head_dim + shape.v_head_dim));
  for (Traffic* part : {&moved.forward, &moved.backward}) {
    part->moved += element * (rows * width);
    part->kernels += 2;
  }
}

// The gradients of queries, keys and values that were views of one product's output, copied into one tensor
// (llm-foundry, GroupedQueryAttention: qkv.split, whose backward pass is a concatenation).
void add_gradient_concatenation(const Operator& op, double rows, Bytes element, OperatorTraffic& moved) {
  const AttentionShape& shape = op.attention;
  const double width =
      static_cast<double>(shape.heads * shape.qk_head_dim + shape.kv_heads * (shape.qk_head_dim + shape.v_head_dim));
  moved.backward.moved += element * (2 * rows * width);
  moved.backward.kernels += 1;
}

// Megatron-LM's own layers hold queries, keys and values side by side for each head, with the sequence in front
// (megatron/legacy/model/transformer.py): flash attention gets contiguous copies of them, the batched products write
// heads in front and the context is copied back. The gradients of the three are copied into one tensor.
void add_layout_copies(const Operator& op, double rows, const Execution& execution, OperatorTraffic& moved) {
  const AttentionShape& shape = op.attention;
  const double context = static_cast<double>(shape.heads * shape.v_head_dim);
  const double inputs =
      static_cast<double>((shape.heads + shape.kv_heads) * shape.qk_head_dim + shape.kv_heads * shape.v_head_dim);
  const bool unfused = execution.attention == AttentionKernel::unfused;
  const Bytes element = execution.activation_element;
  moved.forward.moved += element * (2 * rows * (unfused ? context : inputs));
  moved.backward.moved += element * (2 * rows * (unfused ? context + inputs : inputs));
  if (unfused) return;  // whose kernels are counted with the scores'
  moved.forward.kernels += 6;
  moved.backward.kernels += 6;
}

void add(OperatorTraffic& moved, const OperatorTraffic& more) {
  moved.forward.moved += more.forward.moved;
  moved.forward.kernels += more.forward.kernels;
  moved.backward.moved += more.backward.moved;
  moved.backward.kernels += more.backward.kernels;
}

// Megatron-Core adds the biases of its experts' second products one expert after the other, each scaled by its tokens'
// probabilities (TEGroupedMLP._apply_bias in megatron/core/transformer/moe/experts.py). An element of 16 bits takes
// forward a product into fp32 (4 bytes), a sum of both (10), the joining of all experts' (8) and the cast back (6);
// backward the cast (6) and that of the sum (6), the gradients of bias and probabilities, a product and a sum each
// (24), and the joining (4). A product and a sum for each expert forward; backward a cast, two products and three sums
// or casts.
void add_expert_biases(const Operator& op, double rows, OperatorTraffic& moved) {
  const double elements = rows * op.out_features;
  const auto experts = static_cast<double>(op.experts);
  moved.forward.moved += Bytes(28) * elements;
  moved.forward.kernels += 2 + 2 * experts;
  moved.backward.moved += Bytes(40) * elements;
  moved.backward.kernels += 2 + 6 * experts;
}

// It clamps both halves of a gate's input before the fused activation and joins them again
// (weighted_bias_quick_geglu_impl in megatron/core/fusions/fused_bias_geglu.py): halves read and written twice;
// backward each half's gradient and input read and its gradient written, and both joined.
void add_clamp(double elements, Bytes element, OperatorTraffic& moved) {
  moved.forward.moved += element * (2 * 4 * elements);
  moved.forward.kernels += 3;
  moved.backward.moved += element * (2 * 5 * elements);
  moved.backward.kernels += 3;
}

// Whether experts' biases and clamps run apart from their products and activation.
bool runs_expert_parts_apart(const Operator& op, const Execution& execution) {
  return op.routed && execution.style == KernelStyle::transformer_engine && !execution.fused_experts;
}

bool adds_bias_apart(const Operator& op, const Execution& execution) {
  return op.kind == OperatorKind::linear && op.split == TensorSplit::row && has_bias(op) &&
         runs_expert_parts_apart(op, execution);
}

// Megatron-LM's own column-parallel layer stores its product and adds the bias in a second kernel
// (megatron/core/tensor_parallel/layers.py, LinearWithGradAccumulationAndAsyncCommunication: output + bias); the MLP's
// bias is left to the activation's kernel and those of the row-parallel layers to the residual's (skip_bias_add).
bool adds_bias_behind_product(const Operator& op, const Execution& execution) {
  return execution.style == KernelStyle::megatron_fused && op.name == "qkv" && has_bias(op);
}

bool clamps_apart(const Operator& op, const Execution& execution) {
  return op.kind == OperatorKind::activation && op.gated && op.clamped && runs_expert_parts_apart(op, execution);
}

// A metric of the training batch takes the loss anew from the logits, whatever kernel took it for the gradients.
void add_metric_losses(double elements, const Execution& execution, OperatorTraffic& moved) {
  const Passes eager = passes_of(OperatorKind::cross_entropy, KernelStyle::eager);
  moved.forward.moved += execution.activation_element * (execution.metric_losses * eager.forward * elements);
  moved.forward.kernels += execution.metric_losses * eager.forward_kernels;
}

OperatorTraffic stated_traffic(const StatedWork& work, double tokens, Bytes element) {
  return {{element * (work.forward_elements * tokens) + work.forward_bytes * tokens, work.forward_kernels},
          {element * (work.backward_elements * tokens) + work.backward_bytes * tokens, work.backward_kernels}};
}

}  // namespace

OperatorTraffic traffic(const Operator& op, double tokens, double sequence, const Execution& execution) {
  const double rows = tokens * op.row_share;
  if (op.stated) return stated_traffic(*op.stated, rows, execution.activation_element);
  Passes passes = passes_of(op.kind, execution.style);
  double elements = rows * op.width;
  switch (op.kind) {
    case OperatorKind::embedding:
      elements = rows * op.out_features;
      break;
    case OperatorKind::linear:
    case OperatorKind::convolution:
      elements = rows * op.out_features;
      // The forward bias is added in the product's epilogue or by the next kernel; its gradient sums the columns.
      if (has_bias(op) && !adds_bias_apart(op, execution)) {
        passes.backward += 1;
        passes.backward_kernels += 1;
      }
      if (adds_bias_behind_product(op, execution)) {
        passes.forward += 2;
        passes.forward_kernels += 1;
      }
      break;
    case OperatorKind::rotary:
      elements = rows * rotary_width(op.attention);
      if (op.scaled && execution.style == KernelStyle::transformer_engine) passes = scaled_rotary;
      break;
    case OperatorKind::attention:
      if (execution.attention == AttentionKernel::unfused) {
        passes = unfused_scores(execution.style, execution.dropout);
        elements = rows * static_cast<double>(op.attention.heads) * key_count(op.attention, sequence);
      }
      break;
    case OperatorKind::norm:
      if (!op.root_mean_square) passes = layer_norm(execution.style);
      break;
    case OperatorKind::activation:
      if (op.gated)
        passes = gated_activation(execution.style);
      else if (!execution.fused_activation && execution.style == KernelStyle::megatron_fused)
        passes.forward = unfused_gelu_forward;
      break;
    case OperatorKind::permute:
      if (execution.style == KernelStyle::transformer_engine) passes = permutation(op.permuter);
      break;
    case OperatorKind::residual:
      if (execution.dropout) passes = residual_with_dropout(execution.style);
      break;
    default:
      break;
  }
  OperatorTraffic moved = from_passes(passes, elements, execution.activation_element);
  if (adds_bias_apart(op, execution)) add_expert_biases(op, rows, moved);
  if (clamps_apart(op, execution)) add_clamp(elements, execution.activation_element, moved);
  if (op.kind == OperatorKind::attention && execution.style == KernelStyle::megatron_fused)
    add_layout_copies(op, rows, execution, moved);
  if (op.kind == OperatorKind::attention && execution.repeats_kv_heads)
    add_repeated_heads(op, rows, execution.activation_element, moved);
  if (op.kind == OperatorKind::attention && execution.attention == AttentionKernel::flash_triton)
    add_gradient_concatenation(op, rows, execution.activation_element, moved);
  if (op.kind == OperatorKind::attention) add(moved, ring_merges(op, rows, execution.style));
  if (op.kind == OperatorKind::cross_entropy) add_metric_losses(elements, execution, moved);
  return moved;
}

namespace {

SavedActivations saved_attention(const Operator& op, double rows, double sequence, const Execution& execution) {
  const AttentionShape& shape = op.attention;
  const double heads = static_cast<double>(shape.heads);
  const double qk = static_cast<double>(shape.qk_head_dim);
  const double v = static_cast<double>(shape.v_head_dim);
  const double kv_heads = execution.repeats_kv_heads ? heads : static_cast<double>(shape.kv_heads);
  const double key_rows = shape.keys > 0 ? rows / op.row_share * shape.keys : rows;
  const Bytes element = execution.activation_element;
  Bytes kept = element * (rows * heads * qk + key_rows * kv_heads * (qk + v));
  if (execution.attention != AttentionKernel::unfused) {
    kept += Bytes(4) * rows * heads;  // log-sum-exp of each row in fp32
    // The output is also the input that the output projection keeps, unless that keeps an fp8 copy.
    if (execution.linear_input_element < element) kept += element * rows * heads * v;
    return {kept};
  }
  const double keys = key_count(shape, sequence);
  const Bytes scores = element * rows * heads * keys;
  Bytes core = scores;                                                        // softmax output
  if (execution.dropout) core += (Bytes(1) + element) * rows * heads * keys;  // mask and dropout output
  return {kept + core, core, scores};
}

}  // namespace

SavedActivations saved_activations(const Operator& op, double tokens, double sequence, const Execution& execution) {
  const double rows = tokens * op.row_share;
  const Bytes element = execution.activation_element;
  const bool eager = execution.style == KernelStyle::eager;
  if (op.tensors && op.kind != OperatorKind::attention && op.kind != OperatorKind::cross_entropy)
    return {element * (tokens * op.tensors->kept) + op.tensors->kept_bytes * tokens};
  switch (op.kind) {
    case OperatorKind::norm:
      return {(eager && op.root_mean_square ? Bytes(6) : element) * rows * op.width};
    case OperatorKind::linear:
      return {execution.linear_input_element * rows * op.in_features * op.saved_input_share};
    case OperatorKind::attention:
      return saved_attention(op, rows, sequence, execution);
    case OperatorKind::activation: {
      // An eager gate keeps the non-linearity's output for the product.
      const double inputs = op.gated ? (eager || execution.style == KernelStyle::nanotron ? 3 : 2) : 1;
      const Bytes kept = element * rows * op.width * inputs;
      if (clamps_apart(op, execution)) return {kept * 2, {}, {}, kept};  // before the clamp and after it
      return {kept};
    }
    case OperatorKind::residual:
      return {Bytes(execution.dropout ? 1 : 0) * rows * op.width};
    case OperatorKind::router:
      return {Bytes(4) * rows * op.width};
    case OperatorKind::permute:
      return {element * rows * op.width * 0.5};
    case OperatorKind::state_space:
      return {element * rows * op.width * 4};
    case OperatorKind::cross_entropy:
      return {(execution.style == KernelStyle::compiled ? element : Bytes(4)) * rows * op.width};
    default:
      return {};
  }
}

}  // namespace echelon
