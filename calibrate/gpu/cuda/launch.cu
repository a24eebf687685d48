#include <chrono>

#include "calibrate/gpu/cuda/families.h"

namespace echelon {
namespace {

constexpr int launches_a_run = 1000;

__global__ void empty_kernel() {}

void launch_empty(int, cudaStream_t stream) {
  empty_kernel<<<1, 32, 0, stream>>>();
  check(cudaGetLastError(), "launch of an empty kernel");
}

// The host's share alone: it runs ahead of the device, which is waited for between runs.
Reading time_host_launches(Context& context, const Effort& effort) {
  constexpr int launches = 200;  // fewer than a stream queues before it makes the host wait
  Reading reading;
  for (int run = 0; run < effort.least_runs; ++run) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < launches; ++i) launch_empty(i, context.stream);
    const std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - start;
    check(cudaStreamSynchronize(context.stream), "empty kernels");
    reading.microseconds.push_back(taken.count() / launches);
  }
  return reading;
}

}  // namespace

Reading measure_launch(Context& context, const Benchmark& benchmark, const Effort& effort) {
  if (benchmark.operation == "graph") return time_captured(context, launch_empty, 100, effort);
  if (benchmark.operation == "stream") return time_streamed(context, launch_empty, launches_a_run, effort);
  if (benchmark.operation == "host") return time_host_launches(context, effort);
  throw Unsupported("launch '" + benchmark.operation + "'");
}

Reading measure_allocation(Context& context, const Benchmark& benchmark, const Effort& effort) {
  const auto bytes = static_cast<std::size_t>(benchmark.bytes);
  void* data = nullptr;
  if (benchmark.operation == "malloc_and_free")
    return time_on_host(
        context,
        [&] {
          check(cudaMalloc(&data, bytes), "cudaMalloc");
          check(cudaFree(data), "cudaFree");
        },
        effort);
  if (benchmark.operation == "pinned_malloc_and_free")
    return time_on_host(
        context,
        [&] {
          check(cudaMallocHost(&data, bytes), "cudaMallocHost");
          check(cudaFreeHost(data), "cudaFreeHost");
        },
        effort);
  if (benchmark.operation == "pool_malloc_and_free")
    return time_on_host(
        context,
        [&] {
          check(cudaMallocAsync(&data, bytes, context.stream), "cudaMallocAsync");
          check(cudaFreeAsync(data, context.stream), "cudaFreeAsync");
          check(cudaStreamSynchronize(context.stream), "cudaFreeAsync");
        },
        effort);
  throw Unsupported("allocation '" + benchmark.operation + "'");
}

}  // namespace echelon
