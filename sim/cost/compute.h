// (kernel, device) -> time. Pure functions of the curves in the profile.
#pragma once

#include "sim/base/data_type.h"
#include "sim/base/units.h"
#include "sim/hardware/device.h"
#include "sim/model/kernel_style.h"

namespace echelon {

struct Priced {
  Seconds time;
  Ground ground = Ground::datasheet;
};

// C[m,n] = A[m,k] B[k,n]; `batch` independent products in one kernel (batched or grouped).
struct GemmShape {
  double m = 0;
  double n = 0;
  double k = 0;
  double batch = 1;
};
Priced gemm_time(const Device& device, DataType type, const GemmShape& shape);

struct AttentionWork {
  double batch = 1;         // sequences
  double heads = 0;
  double kv_heads = 0;
  double queries = 0;       // query positions of one sequence on this rank
  double keys = 0;          // key positions that they span
  double qk_head_dim = 0;
  double v_head_dim = 0;
  double attended_keys = 0; // mean keys a query attends to after masking
  bool causal = true;
};
enum class AttentionPass { forward, backward };
// Flash attention as one fused kernel. (Unfused attention is two batched products and memory-bound kernels.)
Priced attention_time(const Device& device, DataType type, const AttentionWork& work, AttentionPass pass);

// `kernels` memory-bound kernels that move `moved` bytes together.
Priced memory_bound_time(const Device& device, Bytes moved, double kernels);

}  // namespace echelon
