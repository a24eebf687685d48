#include <algorithm>
#include <vector>

#include "calibrate/gpu/cuda/families.h"

namespace echelon {
namespace {

int launches_for(std::size_t bytes) {
  constexpr std::size_t bytes_a_run = std::size_t{64} << 20;  // a millisecond or more of any link
  return static_cast<int>(std::clamp<std::size_t>(bytes_a_run / std::max<std::size_t>(bytes, 1), 1, 100));
}

void copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  check(cudaMemcpyAsync(to, from, bytes, kind, stream), "cudaMemcpyAsync");
}

Reading time_pinned(Context& context, const Benchmark& benchmark, const Effort& effort) {
  const auto bytes = static_cast<std::size_t>(benchmark.bytes);
  const PinnedBuffer host(bytes), second_host(bytes);
  char* const device = context.results.get(2 * aligned(bytes), "bf16");
  const auto upload = [&](int, cudaStream_t stream) {
    copy(device, host.data(), bytes, cudaMemcpyHostToDevice, stream);
  };
  const auto download = [&](int, cudaStream_t stream) {
    copy(second_host.data(), device + aligned(bytes), bytes, cudaMemcpyDeviceToHost, stream);
  };
  if (benchmark.operation == "host_to_device") return time_streamed(context, upload, launches_for(bytes), effort);
  if (benchmark.operation == "device_to_host") return time_streamed(context, download, launches_for(bytes), effort);
  if (benchmark.operation != "both_ways") throw Unsupported("copy '" + benchmark.operation + "'");
  const Stream other;
  const int each_way = launches_for(bytes);
  return time_on_host(
      context,
      [&] {
        for (int i = 0; i < each_way; ++i) {
          upload(i, context.stream);
          download(i, other);
        }
        check(cudaStreamSynchronize(context.stream), "upload");
        check(cudaStreamSynchronize(other), "download");
      },
      effort);
}

Reading time_pageable(Context& context, const Benchmark& benchmark, const Effort& effort) {
  const auto bytes = static_cast<std::size_t>(benchmark.bytes);
  std::vector<char> host(bytes, 1);
  char* const device = context.results.get(bytes, "bf16");
  const bool up = benchmark.operation == "host_to_device";
  if (!up && benchmark.operation != "device_to_host") throw Unsupported("pageable copy '" + benchmark.operation + "'");
  return time_on_host(
      context,
      [&] {
        if (up)
          copy(device, host.data(), bytes, cudaMemcpyHostToDevice, context.stream);
        else
          copy(host.data(), device, bytes, cudaMemcpyDeviceToHost, context.stream);
        check(cudaStreamSynchronize(context.stream), "pageable copy");
      },
      effort);
}

// Memory of the next GPU; the current device is put back whatever happens.
class PeerBuffer {
 public:
  PeerBuffer(int device, int peer, std::size_t bytes) : device_(device), peer_(peer) {
    int possible = 0;
    check(cudaDeviceCanAccessPeer(&possible, device, peer), "cudaDeviceCanAccessPeer");
    if (possible != 0 && cudaDeviceEnablePeerAccess(peer, 0) != cudaSuccess) cudaGetLastError();  // on already
    check(cudaSetDevice(peer_), "cudaSetDevice");
    const cudaError_t status = cudaMalloc(&data_, bytes);
    cudaSetDevice(device_);
    check(status, "cudaMalloc on the next GPU");
  }
  PeerBuffer(const PeerBuffer&) = delete;
  PeerBuffer& operator=(const PeerBuffer&) = delete;
  ~PeerBuffer() {
    cudaSetDevice(peer_);
    cudaFree(data_);
    cudaSetDevice(device_);
  }
  void* data() const { return data_; }

 private:
  int device_;
  int peer_;
  void* data_ = nullptr;
};

Reading time_peer(Context& context, const Benchmark& benchmark, const Effort& effort) {
  int devices = 0;
  check(cudaGetDeviceCount(&devices), "cudaGetDeviceCount");
  if (devices < 2) throw Unsupported("one GPU has no peer");
  const auto bytes = static_cast<std::size_t>(benchmark.bytes);
  const int peer = (context.number + 1) % devices;
  const PeerBuffer there(context.number, peer, bytes);
  const char* const here = context.operands.get(bytes, "bf16");
  const auto launch = [&](int, cudaStream_t stream) {
    check(cudaMemcpyPeerAsync(there.data(), peer, here, context.number, bytes, stream), "cudaMemcpyPeerAsync");
  };
  return time_streamed(context, launch, launches_for(bytes), effort);
}

}  // namespace

Reading measure_transfer(Context& context, const Benchmark& benchmark, const Effort& effort) {
  if (benchmark.operation == "to_peer") return time_peer(context, benchmark, effort);
  if (benchmark.variant == "pageable") return time_pageable(context, benchmark, effort);
  return time_pinned(context, benchmark, effort);
}

}  // namespace echelon
