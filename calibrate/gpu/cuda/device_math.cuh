// Vectors of eight bf16 elements and reductions over a block of threads.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp8.h>

namespace echelon {

using bf16 = __nv_bfloat16;
constexpr int block_threads = 256;
constexpr int vector_width = 8;

// Eight neighbours of one format, moved as 8, 16 or two times 16 bytes.
template <class Number>
struct alignas(sizeof(Number) == 1 ? 8 : 16) VectorOf {
  Number at[vector_width];
};
using Vector = VectorOf<bf16>;
using WideVector = VectorOf<float>;
using NarrowVector = VectorOf<__nv_fp8_e4m3>;

struct Sum {
  __device__ static float join(float a, float b) { return a + b; }
  static constexpr float nothing = 0;
};
struct Largest {
  __device__ static float join(float a, float b) { return fmaxf(a, b); }
  static constexpr float nothing = -3.0e38F;
};

// The join of every thread's value, for all threads of the block.
template <class Join>
__device__ float over_block(float value) {
  __shared__ float of_warps[block_threads / 32];
  for (int offset = 16; offset > 0; offset /= 2) value = Join::join(value, __shfl_xor_sync(~0U, value, offset));
  __syncthreads();  // earlier readers are done
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = value;
  __syncthreads();
  float result = Join::nothing;
  for (int warp = 0; warp < block_threads / 32; ++warp) result = Join::join(result, of_warps[warp]);
  return result;
}

}  // namespace echelon
