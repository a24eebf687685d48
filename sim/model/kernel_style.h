// How a framework runs the pointwise parts of a layer: how many kernels, how many bytes they move, what they keep.
//
// A table of rows, one for each (style, operator kind): passes over the row in units of `width` elements of the
// activation type, and bytes saved for the backward pass. FrameworkStyle picks a column of the table.
#pragma once

#include "sim/base/enum_names.h"
#include "sim/base/units.h"
#include "sim/model/operator.h"

namespace echelon {

enum class KernelStyle {
  eager,           // PyTorch eager: one kernel for each pointwise operation
  compiled,        // torch.compile: chains of pointwise operations fused
  megatron_fused,  // Megatron-LM's hand-fused kernels (bias-GELU, bias-dropout-add, fused LayerNorm and masked softmax)
  transformer_engine,  // Transformer Engine / Megatron-Core: the above, fused norms and RoPE, flash attention through
                       // cuDNN
  nanotron             // flash-attn's Triton RMSNorm and rotary kernels, eager gates, Megatron's loss on fp32 logits
};

template <>
inline constexpr auto enum_names<KernelStyle> = std::to_array<EnumName<KernelStyle>>({
    {KernelStyle::eager, "eager"},
    {KernelStyle::compiled, "compiled"},
    {KernelStyle::megatron_fused, "megatron_fused"},
    {KernelStyle::transformer_engine, "transformer_engine"},
    {KernelStyle::nanotron, "nanotron"},
});

// What decides how operators run and what they keep.
struct Execution {
  KernelStyle style = KernelStyle::megatron_fused;
  AttentionKernel attention = AttentionKernel::flash;
  Bytes activation_element{2};    // bytes of one activation element
  Bytes linear_input_element{2};  // bytes of a saved input of a linear layer: 1 where fp8 products keep the cast copy
  bool repeats_kv_heads = false;  // keys and values are copied for each query head before fused attention
  bool dropout = false;           // keeps one-byte masks and runs dropout kernels
  bool fused_activation = true;   // megatron_fused: the forward pass of an activation is one kernel
  bool fused_experts = false;     // transformer_engine: experts' biases and clamps run inside their products
  double metric_losses = 0;       // cross entropies taken once more of the logits, in eager kernels and forward alone
};

// Traffic and kernel counts of one operator in one direction.
struct Traffic {
  Bytes moved;  // read and written in device memory
  double kernels = 0;
};

struct OperatorTraffic {
  Traffic forward;
  Traffic backward;
};

// Bytes that pointwise work of the operator moves (for a linear: only extras such as an unfused bias).
OperatorTraffic traffic(const Operator& op, double tokens, double sequence, const Execution& execution);

// Bytes that the forward pass keeps for the backward pass, for `tokens` tokens.
// `attention_core` is the part that selective recompute drops (arXiv:2205.05198, section 5); `scores` one matrix of
// attention scores, where the kernel writes them out; `inner` what it makes of its input for itself, of a clamp that
// runs apart.
struct SavedActivations {
  Bytes kept;
  Bytes attention_core{};
  Bytes scores{};
  Bytes inner{};
};
SavedActivations saved_activations(const Operator& op, double tokens, double sequence, const Execution& execution);

}  // namespace echelon
