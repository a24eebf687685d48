#include <algorithm>
#include <array>

#include "calibrate/gpu/cuda/context.h"

namespace echelon {
namespace {

std::string bus_id_of(int device) {
  std::array<char, 32> text{};
  check(cudaSetDevice(device), "cudaSetDevice");
  check(cudaDeviceGetPCIBusId(text.data(), static_cast<int>(text.size()), device), "cudaDeviceGetPCIBusId");
  return text.data();
}

}  // namespace

Context::Context(int device_number) : number(device_number), bus_id(bus_id_of(device_number)), nvml(bus_id) {
  check(cudaGetDeviceProperties(&properties, number), "cudaGetDeviceProperties");
  check(cublasLtCreate(&cublas), "cublasLtCreate");
  workspace = DeviceBuffer(workspace_bytes);
}

Context::~Context() {
  cublasLtDestroy(cublas);
}

int Context::copies_for(std::size_t bytes) const {
  const std::size_t wanted = 2 * static_cast<std::size_t>(properties.l2CacheSize) / std::max<std::size_t>(bytes, 1) + 1;
  return static_cast<int>(std::min<std::size_t>(wanted, most_launches_a_run));
}

}  // namespace echelon
