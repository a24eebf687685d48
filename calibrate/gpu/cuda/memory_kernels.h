// Memory-bound kernels of a training step, written plainly: vectors of eight elements, one block of threads a row where
// a row is reduced.
#pragma once

#include "calibrate/gpu/cuda/context.h"

namespace echelon {

// One of memory_operations (../memory_operations.h) on m x n elements. Throws Unsupported for another name.
Reading measure_memory(Context& context, const Benchmark& benchmark, const Effort& effort);

// Enqueues softmax over rows of bf16, forward (`weights` out of `scores`) or backward, as unfused attention needs it.
void launch_softmax(const void* scores, void* weights, std::int64_t rows, std::int64_t columns, cudaStream_t stream);
void launch_softmax_gradient(const void* weights, const void* gradient, void* out, std::int64_t rows,
                             std::int64_t columns, cudaStream_t stream);

}  // namespace echelon
