// The memory-bound kernels that are measured: one row each, for the plan (what they move) and for CUDA (how they are
// launched) alike. They work on `rows` x `columns` elements of bf16 where nothing else is said.
#pragma once

#include <array>
#include <string_view>

namespace echelon {

// What a kernel is measured for.
enum class MemoryRole {
  streaming,  // reads and writes tensors once, as most kernels of a training step do: its times make the memory curve
  other       // pure reads, atomics, tiny work: kept among the samples only
};

struct MemoryOperation {
  std::string_view name;
  double bytes_per_element;  // read and written, with each tensor moved once
  bool by_row;               // a block of threads works on one row: the width matters
  MemoryRole role;
};

inline constexpr std::array<MemoryOperation, 21> memory_operations{{
    {"device_copy", 4, false, MemoryRole::streaming},
    {"residual_add", 6, false, MemoryRole::streaming},
    {"cast_to_fp32", 6, false, MemoryRole::streaming},
    {"cast_to_bf16", 6, false, MemoryRole::streaming},
    {"cast_to_fp8", 3, false, MemoryRole::streaming},
    {"gated_activation", 6, false, MemoryRole::streaming},            // two tensors in, one out
    {"gated_activation_gradient", 10, false, MemoryRole::streaming},  // three in, two out
    {"adam_step", 28, false, MemoryRole::streaming},  // fp32 master and moments, bf16 gradient in and weight out
    {"rms_norm", 4, true, MemoryRole::streaming},
    {"rms_norm_gradient", 6, true, MemoryRole::streaming},
    {"layer_norm", 4, true, MemoryRole::streaming},
    {"layer_norm_gradient", 6, true, MemoryRole::streaming},
    {"softmax", 4, true, MemoryRole::streaming},
    {"softmax_gradient", 6, true, MemoryRole::streaming},
    {"cross_entropy", 4, true, MemoryRole::streaming},  // logits in, their gradient out
    {"embedding", 4, true, MemoryRole::streaming},
    {"embedding_gradient", 10, true, MemoryRole::other},  // atomics into fp32 rows
    {"permute_rows", 4, true, MemoryRole::streaming},     // tokens in the order of their experts: rows gathered
    {"unpermute_rows", 4, true, MemoryRole::streaming},   // and back: rows scattered
    {"top_k_routing", 4, true, MemoryRole::other},        // fp32 scores of experts in, the best eight out
    {"reduction", 2, false, MemoryRole::other},
}};

}  // namespace echelon
