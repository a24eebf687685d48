// The benchmarks that are neither products nor memory-bound kernels. Each throws what check.h names.
#pragma once

#include "calibrate/gpu/cuda/context.h"

namespace echelon {

// Unfused attention, forward or backward (variant), as batched products and softmax: `batch` heads of m queries, n keys
// and head size k. Scores are written out whole.
Reading measure_attention(Context& context, const Benchmark& benchmark, const Effort& effort);

// Empty kernels: "stream" launch to launch, "graph" the same replayed, "host" what one launch takes the host.
Reading measure_launch(Context& context, const Benchmark& benchmark, const Effort& effort);

// Copies of `bytes` between host and device (variant "pinned" or "pageable"), both ways at once, or to the next GPU.
Reading measure_transfer(Context& context, const Benchmark& benchmark, const Effort& effort);

// Allocating and freeing `bytes`.
Reading measure_allocation(Context& context, const Benchmark& benchmark, const Effort& effort);

// One product alone and while a copy runs beside it (operation).
Reading measure_overlap(Context& context, const Benchmark& benchmark, const Effort& effort);

// A collective of `ranks` GPUs of this process on `bytes`, the full vector as nccl-tests counts it.
Reading measure_collective(Context& context, const Benchmark& benchmark, const Effort& effort);

// The version of the NCCL that is found here; empty without it.
std::string nccl_version();

}  // namespace echelon
