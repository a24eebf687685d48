#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <cstdint>

#include "calibrate/gpu/cuda/buffer.h"

namespace echelon {
namespace {

// The finaliser of splitmix64 (S. Vigna, public domain).
__device__ std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

template <class T>
__device__ T number_from(float uniform) {
  return T(uniform);
}
template <>
__device__ std::int8_t number_from<std::int8_t>(float uniform) {
  return static_cast<std::int8_t>(127 * uniform);
}

template <class T>
__global__ void fill(T* data, std::size_t count) {
  const std::size_t stride = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride)
    data[i] = number_from<T>(static_cast<float>(mixed(i) >> 40) / 8388608.0F - 1.0F);
}

template <class T>
void fill_as(char* data, std::size_t bytes) {
  fill<<<4096, 256>>>(reinterpret_cast<T*>(data), bytes / sizeof(T));
}

}  // namespace

void fill_random(char* data, std::size_t bytes, const std::string& type) {
  if (type == "fp32" || type == "tf32")
    fill_as<float>(data, bytes);
  else if (type == "fp16")
    fill_as<__half>(data, bytes);
  else if (type == "bf16")
    fill_as<__nv_bfloat16>(data, bytes);
  else if (type == "fp8")
    fill_as<__nv_fp8_e4m3>(data, bytes);
  else if (type == "int8")
    fill_as<std::int8_t>(data, bytes);
  else
    throw Unsupported("number format '" + type + "'");
  check(cudaGetLastError(), "fill with random numbers");
  check(cudaDeviceSynchronize(), "fill with random numbers");
}

char* Arena::get(std::size_t bytes, const std::string& type) {
  if (bytes > buffer_.bytes()) {
    filled_ = 0;
    buffer_ = DeviceBuffer();  // first free, or both would have to fit
    buffer_ = DeviceBuffer(bytes);
  }
  if (type != type_ || bytes > filled_) {
    filled_ = 0;
    fill_random(buffer_.data(), bytes, type);
    type_ = type;
    filled_ = bytes;
  }
  return buffer_.data();
}

}  // namespace echelon
