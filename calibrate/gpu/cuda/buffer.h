// Device memory: buffers that free themselves, and arenas of random numbers that grow and are kept between benchmarks.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <string>
#include <utility>

#include "calibrate/gpu/cuda/check.h"

namespace echelon {

class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  explicit DeviceBuffer(std::size_t bytes) : bytes_(bytes) { check(cudaMalloc(&data_, bytes), "cudaMalloc"); }
  DeviceBuffer(DeviceBuffer&& other) noexcept { *this = std::move(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  ~DeviceBuffer() { cudaFree(data_); }

  char* data() const { return static_cast<char*>(data_); }
  std::size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// Page-locked memory of the host.
class PinnedBuffer {
 public:
  explicit PinnedBuffer(std::size_t bytes) { check(cudaMallocHost(&data_, bytes), "cudaMallocHost"); }
  PinnedBuffer(const PinnedBuffer&) = delete;
  PinnedBuffer& operator=(const PinnedBuffer&) = delete;
  ~PinnedBuffer() { cudaFreeHost(data_); }
  char* data() const { return static_cast<char*>(data_); }

 private:
  void* data_ = nullptr;
};

// Random numbers, uniform from -1 to 1 in the format `type` ("bf16", "fp8", ...): power and so clocks depend on the
// data.
class Arena {
 public:
  // At least `bytes`, valid until the next call. Throws OutOfMemory, and then holds nothing.
  char* get(std::size_t bytes, const std::string& type);
  void release() { *this = Arena(); }

 private:
  DeviceBuffer buffer_;
  std::string type_;        // of the numbers at its beginning
  std::size_t filled_ = 0;  // bytes of them
};

// Fills with random numbers of a format. Throws Unsupported for a format that has no name here.
void fill_random(char* data, std::size_t bytes, const std::string& type);

// Rounded up to 256 bytes, the alignment that vector loads and cuBLAS like best.
constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

}  // namespace echelon
