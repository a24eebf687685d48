// Flash attention as the graphs of operations that cuDNN's engines take for one fused kernel: what a framework's
// scaled_dot_product_attention asks of cuDNN, without dropout (NVIDIA/cudnn-frontend, docs/operations/Attention.md).
// With scores S = scale Q K^T, masked, and P = softmax(S):
//   forward   O = P V, statistics = log of the softmax's denominators (fp32, a number for each query and head)
//   backward  P = exp(S - statistics), D = sum over features of dO O, dS = scale P (dO V^T - D),
//             dV = P^T dO, dQ = dS K, dK = dS^T Q
// Keys and values of fewer heads than the queries serve groups of them; the gradients of such are summed.
#pragma once

#include <cstdint>
#include <vector>

#include "calibrate/gpu/cuda/cudnn_graph.h"

namespace echelon {

struct AttentionShape {
  std::int64_t batch = 1;  // sequences
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t positions = 0;
  std::int64_t head_size = 0;
  bool causal = false;
  cudnnDataType_t type = CUDNN_DATA_BFLOAT16;
};

// What lies in memory, by its part; `bytes` of it, or a number of the host.
enum class AttentionPart {
  queries,
  keys,
  values,
  out,
  statistics,
  out_gradient,
  query_gradient,
  key_gradient,
  value_gradient,
  row_sums,    // D
  query_sums,  // dQ in fp32, added to by every block of keys
  scale,       // of the scores
  one,
  minus_infinity,  // for what the mask hides
};

struct AttentionTensor {
  AttentionPart part;
  int tensor;
  std::int64_t bytes;
};

struct AttentionGraph {
  CudnnGraph graph;
  std::vector<AttentionTensor> tensors;
};

AttentionGraph attention_forward(const AttentionShape& shape);
AttentionGraph attention_backward(const AttentionShape& shape);

}  // namespace echelon
