// What every benchmark of a device shares: its stream, libraries, memory kept between benchmarks, and the timers.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "calibrate/gpu/cuda/buffer.h"
#include "calibrate/gpu/cuda/nvml.h"
#include "calibrate/gpu/device_layer.h"

namespace echelon {

class World;

// A stream of its own, destroyed with it.
class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate"); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { cudaStreamDestroy(stream_); }
  operator cudaStream_t() const {
    return stream_;
  }  // NOLINT(google-explicit-constructor): as a stream is what it is for

 private:
  cudaStream_t stream_ = nullptr;
};

// Enqueues one execution on a stream with the buffers of copy number `copy`.
using Launch = std::function<void(int copy, cudaStream_t stream)>;

struct Context {
  explicit Context(int device_number);
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context();

  static constexpr std::size_t workspace_bytes = std::size_t{32} << 20;  // of cuBLAS on Hopper, as frameworks set it

  int number = 0;
  cudaDeviceProp properties{};
  std::string bus_id;
  Nvml nvml;
  Stream stream;
  cublasLtHandle_t cublas = nullptr;
  DeviceBuffer workspace;
  Arena operands;  // inputs, never written to
  Arena results;
  std::shared_ptr<void> communicators;  // of the last collective: making them takes seconds
  std::shared_ptr<World> world;         // processes on several nodes, once they met
  std::shared_ptr<void> cudnn;          // a handle, from the first fused attention on

  // Executions of one run at most: of 2 us they are 2 ms.
  static constexpr int most_launches_a_run = 1000;
  // Into how many copies buffers of one execution are rotated: as many as make twice the L2 cache, at most one for each
  // execution of a run. Those of less than a thousandth of that stay in the cache.
  int copies_for(std::size_t bytes) const;
};

// Times of one execution in microseconds: launches are captured into a graph that holds enough of them to last 400 us
// and visits every copy, the graph is replayed to warm up, then timed by events between replays. What a library cannot
// capture is enqueued anew each time.
Reading time_captured(Context& context, const Launch& launch, int copies, const Effort& effort);

// The same for what cannot be captured: each run is `launches` executions between two events.
Reading time_streamed(Context& context, const Launch& launch, int launches, const Effort& effort);

// For what times itself: `block` gives the microseconds of as many runs as it is told. One warms up.
Reading time_in_blocks(Context& context, const std::function<std::vector<double>(int runs)>& block,
                       const Effort& effort);

// Each execution between two events of its own, on what `beside` has enqueued elsewhere just before: the host may take
// longer for that than the execution does, so that one execution does not follow on the other.
Reading time_beside(Context& context, const Launch& launch, const std::function<void()>& beside, const Effort& effort);

// By the host's clock, for calls that return when they are done.
Reading time_on_host(Context& context, const std::function<void()>& call, const Effort& effort);

}  // namespace echelon
