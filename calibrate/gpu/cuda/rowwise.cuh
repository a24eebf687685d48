// Kernels with a block of threads for each row of `width` vectors of eight elements.
#pragma once

#include "calibrate/gpu/cuda/device_math.cuh"

namespace echelon {

// Calls use(vector index in the row) for the vectors of this thread.
template <class Use>
__device__ void for_row(int width, const Use& use) {
  for (int i = threadIdx.x; i < width; i += block_threads) use(i);
}

__device__ inline long long row_start(int width) {
  return static_cast<long long>(blockIdx.x) * width;
}

// (x - mean) / deviation; RMS norm (Zhang and Sennrich, arXiv:1910.07467) is the one without a mean.
template <bool with_mean>
__global__ void norm(const Vector* in, Vector* out, int width) {
  const Vector* const row = in + row_start(width);
  float sum = 0, squares = 0;
  for_row(width, [&](int i) {
    const Vector v = row[i];
    for (int j = 0; j < vector_width; ++j) {
      const float x = v.at[j];
      sum += x;
      squares += x * x;
    }
  });
  const float count = static_cast<float>(width) * vector_width;
  const float mean = with_mean ? over_block<Sum>(sum) / count : 0;
  const float scale = rsqrtf(over_block<Sum>(squares) / count - mean * mean + 1e-5F);
  for_row(width, [&](int i) {
    Vector v = row[i];
    for (int j = 0; j < vector_width; ++j) v.at[j] = (float(v.at[j]) - mean) * scale;
    out[row_start(width) + i] = v;
  });
}

// With y = (x - mean) / deviation: dx = (dy - mean(dy) - y mean(dy y)) / deviation; of RMS norm without the means.
template <bool with_mean>
__global__ void norm_gradient(const Vector* in, const Vector* gradient, Vector* out, int width) {
  const Vector* const row = in + row_start(width);
  const Vector* const above = gradient + row_start(width);
  float sum = 0, squares = 0, above_sum = 0, product = 0;
  for_row(width, [&](int i) {
    const Vector v = row[i], d = above[i];
    for (int j = 0; j < vector_width; ++j) {
      const float x = v.at[j], dy = d.at[j];
      sum += x;
      squares += x * x;
      above_sum += dy;
      product += x * dy;
    }
  });
  const float count = static_cast<float>(width) * vector_width;
  const float mean = with_mean ? over_block<Sum>(sum) / count : 0;
  const float above_mean = with_mean ? over_block<Sum>(above_sum) / count : 0;
  const float scale = rsqrtf(over_block<Sum>(squares) / count - mean * mean + 1e-5F);
  const float along = (over_block<Sum>(product) / count - mean * above_mean) * scale * scale;
  for_row(width, [&](int i) {
    const Vector v = row[i];
    Vector d = above[i];
    for (int j = 0; j < vector_width; ++j)
      d.at[j] = (float(d.at[j]) - above_mean - along * (float(v.at[j]) - mean)) * scale;
    out[row_start(width) + i] = d;
  });
}

// exp(x - max) / sum. With `target_stride` above 0 one is taken off at one column of each row: the gradient of
// cross-entropy with that target.
__global__ void softmax(const Vector* in, Vector* out, int width, int target_stride) {
  const Vector* const row = in + row_start(width);
  float largest = Largest::nothing, sum = 0;
  for_row(width, [&](int i) {
    const Vector v = row[i];
    float here = largest;
    for (int j = 0; j < vector_width; ++j) here = fmaxf(here, v.at[j]);
    sum *= __expf(largest - here);  // the running sum of one pass (Milakov and Gimelshein, arXiv:1805.02867)
    largest = here;
    for (int j = 0; j < vector_width; ++j) sum += __expf(float(v.at[j]) - largest);
  });
  const float top = over_block<Largest>(largest);
  const float whole = over_block<Sum>(sum * __expf(largest - top));
  const int target = target_stride > 0 ? static_cast<int>(blockIdx.x) * target_stride % width : -1;
  for_row(width, [&](int i) {
    Vector v = row[i];
    for (int j = 0; j < vector_width; ++j) v.at[j] = __expf(float(v.at[j]) - top) / whole;
    if (i == target) v.at[0] = float(v.at[0]) - 1;
    out[row_start(width) + i] = v;
  });
}

// p (dp - <p, dp>).
__global__ void softmax_gradient(const Vector* weights, const Vector* gradient, Vector* out, int width) {
  const Vector* const row = weights + row_start(width);
  const Vector* const above = gradient + row_start(width);
  float product = 0;
  for_row(width, [&](int i) {
    const Vector p = row[i], d = above[i];
    for (int j = 0; j < vector_width; ++j) product += float(p.at[j]) * float(d.at[j]);
  });
  const float along = over_block<Sum>(product);
  for_row(width, [&](int i) {
    const Vector p = row[i];
    Vector d = above[i];
    for (int j = 0; j < vector_width; ++j) d.at[j] = float(p.at[j]) * (float(d.at[j]) - along);
    out[row_start(width) + i] = d;
  });
}

// The row of `rows` for this block, each once since the factor is a prime: tokens and experts come in no order.
__device__ inline long long scattered_row(long long rows) {
  return static_cast<long long>((blockIdx.x * 2654435761ULL) % static_cast<unsigned long long>(rows));
}

__global__ void gather_rows(const Vector* table, Vector* out, long long table_rows, int width) {
  const Vector* const row = table + scattered_row(table_rows) * width;
  for_row(width, [&](int i) { out[row_start(width) + i] = row[i]; });
}

__global__ void scatter_rows(const Vector* in, Vector* table, long long table_rows, int width) {
  Vector* const row = table + scattered_row(table_rows) * width;
  for_row(width, [&](int i) { row[i] = in[row_start(width) + i]; });
}

__global__ void add_to_rows(const Vector* gradient, WideVector* table, long long table_rows, int width) {
  WideVector* const row = table + scattered_row(table_rows) * width;
  for_row(width, [&](int i) {
    const Vector d = gradient[row_start(width) + i];
    for (int j = 0; j < vector_width; ++j) atomicAdd(&row[i].at[j], float(d.at[j]));
  });
}

// The eight experts with the highest scores, a warp for each token.
__global__ void top_k(const float* scores, int* chosen, long long tokens, int experts) {
  constexpr int wanted = 8;
  const long long token = static_cast<long long>(blockIdx.x) * (block_threads / 32) + threadIdx.x / 32;
  if (token >= tokens) return;
  const int lane = threadIdx.x % 32;
  const float* const row = scores + token * experts;
  float limit = 3.0e38F;
  for (int rank = 0; rank < wanted; ++rank) {
    float best = Largest::nothing;
    for (int i = lane; i < experts; i += 32)
      if (row[i] < limit) best = fmaxf(best, row[i]);
    for (int offset = 16; offset > 0; offset /= 2) best = fmaxf(best, __shfl_xor_sync(~0U, best, offset));
    limit = best;
    for (int i = lane; i < experts; i += 32)
      if (row[i] == best) chosen[token * wanted + rank] = i;
  }
}

}  // namespace echelon
