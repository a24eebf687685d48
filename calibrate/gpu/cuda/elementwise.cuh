// Kernels that treat every vector of eight elements alike: apply(i) handles vector i.
#pragma once

#include "calibrate/gpu/cuda/device_math.cuh"

namespace echelon {

struct DeviceCopy {
  const Vector* in;
  Vector* out;
  __device__ void apply(long long i) const { out[i] = in[i]; }
};

struct ResidualAdd {
  const Vector* in;
  const Vector* branch;
  Vector* out;
  __device__ void apply(long long i) const {
    const Vector a = in[i], b = branch[i];
    Vector sum;
    for (int j = 0; j < vector_width; ++j) sum.at[j] = float(a.at[j]) + float(b.at[j]);
    out[i] = sum;
  }
};

template <class From, class To>
struct Cast {
  const VectorOf<From>* in;
  VectorOf<To>* out;
  __device__ void apply(long long i) const {
    const VectorOf<From> before = in[i];
    VectorOf<To> after;
    for (int j = 0; j < vector_width; ++j) after.at[j] = To(float(before.at[j]));
    out[i] = after;
  }
};

__device__ inline float logistic(float x) {
  return 1 / (1 + __expf(-x));
}

// SwiGLU: up * gate * logistic(gate) (Shazeer, arXiv:2002.05202).
struct GatedActivation {
  const Vector* gate;
  const Vector* up;
  Vector* out;
  __device__ void apply(long long i) const {
    const Vector g = gate[i], u = up[i];
    Vector result;
    for (int j = 0; j < vector_width; ++j) result.at[j] = float(u.at[j]) * float(g.at[j]) * logistic(g.at[j]);
    out[i] = result;
  }
};

struct GatedActivationGradient {
  const Vector* gate;
  const Vector* up;
  const Vector* gradient;
  Vector* gate_gradient;
  Vector* up_gradient;
  __device__ void apply(long long i) const {
    const Vector g = gate[i], u = up[i], d = gradient[i];
    Vector of_gate, of_up;
    for (int j = 0; j < vector_width; ++j) {
      const float x = g.at[j], share = logistic(x), dy = d.at[j];
      of_up.at[j] = dy * x * share;
      of_gate.at[j] = dy * float(u.at[j]) * share * (1 + x * (1 - share));
    }
    gate_gradient[i] = of_gate;
    up_gradient[i] = of_up;
  }
};

// Adam with weight decay apart (Loshchilov and Hutter, arXiv:1711.05101) on fp32 masters of bf16 weights.
struct AdamStep {
  const Vector* gradient;
  Vector* weight;
  WideVector* master;
  WideVector* mean;
  WideVector* square;
  __device__ void apply(long long i) const {
    const Vector g = gradient[i];
    WideVector x = master[i], m = mean[i], v = square[i];
    Vector rounded;
    for (int j = 0; j < vector_width; ++j) {
      const float step = g.at[j];
      m.at[j] = 0.9F * m.at[j] + 0.1F * step;
      v.at[j] = 0.95F * v.at[j] + 0.05F * step * step;
      x.at[j] -= 1e-4F * (m.at[j] / (sqrtf(fabsf(v.at[j])) + 1e-8F) + 0.1F * x.at[j]);
      rounded.at[j] = x.at[j];
    }
    master[i] = x;
    mean[i] = m;
    square[i] = v;
    weight[i] = rounded;
  }
};

template <class Operation>
__global__ void elementwise(Operation operation, long long vectors) {
  const long long i = static_cast<long long>(blockIdx.x) * block_threads + threadIdx.x;
  if (i < vectors) operation.apply(i);
}

// Sum of everything into *out.
__global__ void reduce_all(const Vector* in, long long vectors, float* out) {
  float sum = 0;
  const long long stride = static_cast<long long>(gridDim.x) * block_threads;
  for (long long i = static_cast<long long>(blockIdx.x) * block_threads + threadIdx.x; i < vectors; i += stride) {
    const Vector v = in[i];
    for (int j = 0; j < vector_width; ++j) sum += float(v.at[j]);
  }
  sum = over_block<Sum>(sum);
  if (threadIdx.x == 0) atomicAdd(out, sum);
}

}  // namespace echelon
