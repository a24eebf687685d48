// The benchmarks that are neither products nor memory-bound kernels. Each throws what check.h names.
#pragma once

#include "calibrate/gpu/cuda/context.h"
#include "calibrate/gpu/rendezvous.h"

namespace echelon {

// Attention of m queries on n keys with head size k, by variant (../attention_variant.h). Operation "fused": as one
// kernel of cuDNN, `batch` sequences of `heads` heads. "unfused": as batched products and softmax, `batch` heads;
// scores are written out whole.
Reading measure_attention(Context& context, const Benchmark& benchmark, const Effort& effort);
Reading measure_fused_attention(Context& context, const Benchmark& benchmark, const Effort& effort);

// `batch` experts' products of m x n x k, a call each on four streams, as Transformer Engine's GroupedLinear runs them.
Reading measure_grouped(Context& context, const Benchmark& benchmark, const Effort& effort);

// Empty kernels: "stream" launch to launch, "graph" the same replayed, "host" what one launch takes the host.
Reading measure_launch(Context& context, const Benchmark& benchmark, const Effort& effort);

// Copies of `bytes` between host and device (variant "pinned" or "pageable"), both ways at once, or to the next GPU.
Reading measure_transfer(Context& context, const Benchmark& benchmark, const Effort& effort);

// Allocating and freeing `bytes`.
Reading measure_allocation(Context& context, const Benchmark& benchmark, const Effort& effort);

// One product alone, and while copies or all-reduces of all GPUs run beside it (operation).
Reading measure_overlap(Context& context, const Benchmark& benchmark, const Effort& effort);

// A collective of `ranks` GPUs of this process, or of several that met, on `bytes`, the full vector as nccl-tests
// counts it.
Reading measure_collective(Context& context, const Benchmark& benchmark, const Effort& effort);

// Work that goes on beside what is measured, on streams of its own.
struct LoadBeside {
  std::function<void()> enqueue;  // a piece of it
  std::function<void()> wait;     // for all of it
};
// All-reduces of `bytes` over all GPUs of this process. Throws Unsupported where there is one.
LoadBeside collectives_beside(Context& context, std::size_t bytes);

// Meets processes on other nodes and gives their number (world.h). One that is not the first then follows it to the
// end.
int join_world(Context& context, const Rendezvous& rendezvous);
void follow_world(Context& context);
void leave_world(Context& context);

// The versions of the libraries that are found here; empty without them.
std::string nccl_version();
std::string cudnn_version();

}  // namespace echelon
