// (kernel, device) -> time. Pure functions of the curves in the profile (sim/hardware/curves.h).
//
// Matrix product of m x n x k, `batch` of them, on S multiprocessors of peak P (sustained clock included):
//   blocks(tile)  = batch times the fewer of  ceil(m / rows) ceil(n / columns)  and  ceil(m / columns) ceil(n / rows)
//   waves(tile)   = max(1, (1 - q) blocks / S + q ceil(blocks / S)),  q = wave_quantisation
//   compute       = min over tiles of  waves 2 rows columns (k + extra_k) S / (P efficiency)
//   memory        = bytes of A, B, C (or of the buffer to which C is added) / (bandwidth bandwidth_fraction)
//   time          = (overhead + max(compute, memory) + unhidden_memory min(compute, memory)) correction(m, n, k)
// Wave quantisation as in NVIDIA's "Matrix Multiplication Background User's Guide".
//
// Fused attention, in key positions that a multiprocessor works through; B blocks of `tile` positions:
//   mean    = attended keys + extra_keys [+ causal_keys]        longest = the same with all keys
//   span    = max(longest, B mean / S + tail longest)           (Graham's bound of list scheduling: SIAM J. 17(2),
//   1969) time    = overhead + max(2 tile span (qk + v) f S / (P efficiency), bytes / bandwidth)
// f weights the products: forward 1; backward (3 qk + 2 v) / (qk + v), 2.5 for equal sizes (arXiv:2307.08691,
// section 3.1.2).
//
// No time is below that of the peak rate. Work of no size takes no time. Where the device lacks a curve of the number
// format the one with the nearest peak serves (Ground::scaled), where it has none, documented typical shares
// (Ground::datasheet).
#pragma once

#include "sim/base/data_type.h"
#include "sim/base/units.h"
#include "sim/hardware/device.h"
#include "sim/model/kernel_style.h"

namespace echelon {

// A duration and what it stands on.
struct Priced {
  Seconds time;
  Ground ground = Ground::datasheet;
};

// Which of a linear layer's three products: libraries reach other rates for other operand layouts.
enum class GemmRole { forward, input_gradient, weight_gradient };

// Where the products of a batch lie: at equal strides (attention's heads), all in one kernel; or anywhere (experts), as
// if one after another, but for the curve's grouped_factor (hardware_profiles/README.md has its source and its spread).
enum class GemmBatch { strided, grouped };

// C[m,n] = A[m,k] B[k,n]; `batch` independent products.
struct GemmShape {
  double m = 0;
  double n = 0;
  double k = 0;
  double batch = 1;
  GemmRole role = GemmRole::forward;
  double operands = 0;  // elements of A and B in memory, where they are not m k + k n (a convolution's overlapping
                        // windows); 0 = they are
  GemmBatch batching = GemmBatch::strided;
  double buffer_bytes = 0;  // moved for each element of C by a product that adds to a buffer; 0 = C is stored
};

// Time of one matrix product with operands of `type`; the result is stored in 2 bytes, or 4 for fp32 and tf32.
// A format without a matrix unit on this device runs in the next wider one. Throws nothing.
Priced gemm_time(const Device& device, DataType type, const GemmShape& shape);

struct AttentionWork {
  double batch = 1;  // sequences
  double heads = 0;
  double kv_heads = 0;
  double queries = 0;  // query positions of one sequence on this rank
  double keys = 0;     // key positions that they span
  double qk_head_dim = 0;
  double v_head_dim = 0;
  double attended_keys = 0;  // mean keys a query attends to after masking
  bool causal = true;
  AttentionImplementation implementation =
      AttentionImplementation::flash_attention_2;  // the device's first where absent
};
enum class AttentionPass { forward, backward };

// Whether a kernel leaves out what lies before a sliding window, or computes it all and masks it. cuDNN 9.22's 8-bit
// backward pass takes four times as long for twice the positions, with a window of 128 (NVIDIA/cudnn-frontend
// benchmark/sdpa_benchmark_training/results/gpt_oss @60e572b7c8fe).
constexpr bool skips_before_window(AttentionImplementation implementation, AttentionPass pass) {
  return pass == AttentionPass::forward || implementation != AttentionImplementation::cudnn_mxfp8;
}

// Flash attention as one fused kernel of 16-bit inputs in `type`, or of 8-bit ones where the implementation takes
// those. (Unfused attention is two batched products and memory-bound kernels.)
Priced attention_time(const Device& device, DataType type, const AttentionWork& work, AttentionPass pass);

// `kernels` memory-bound kernels that move `moved` bytes together: kernels overhead + moved / (bandwidth fraction).
Priced memory_bound_time(const Device& device, Bytes moved, double kernels);

// The same with one curve, without the choice of a curve: what the fits of calibrate/fit minimise.
Seconds gemm_time_with(const GemmCurve& curve, const Device& device, DataType type, const GemmShape& shape);
Seconds attention_time_with(const AttentionPassCurve& curve, const Device& device, DataType type,
                            const AttentionWork& work, AttentionPass pass);

// Operations of the products in attention, after masking; the backward pass recomputes the scores.
Flops attention_flops(const AttentionWork& work, AttentionPass pass);

// The correction factor alone, 1 where there is no correction.
double correction_factor(const GemmCorrection& correction, double m, double n, double k);

// Where `at` lies between ascending knots: the lower knot's index and the share of the way to the next, held at the
// ends.
struct KnotPosition {
  std::size_t index = 0;
  double share = 0;
};
KnotPosition locate_knot(const std::vector<double>& knots, double at);

}  // namespace echelon
