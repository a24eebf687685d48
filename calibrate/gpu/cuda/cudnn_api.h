// cuDNN 9's backend interface, loaded when fused attention is measured.
#pragma once

#include <cudnn_graph.h>

#include <array>
#include <string>

#include "calibrate/gpu/cuda/shared_library.h"

namespace echelon {

struct Cudnn : private SharedLibrary {
  Cudnn() : SharedLibrary("libcudnn.so.9") {}

  decltype(&cudnnCreate) create = function("cudnnCreate");
  decltype(&cudnnDestroy) destroy = function("cudnnDestroy");
  decltype(&cudnnSetStream) set_stream = function("cudnnSetStream");
  decltype(&cudnnGetVersion) get_version = function("cudnnGetVersion");
  decltype(&cudnnGetErrorString) get_error_string = function("cudnnGetErrorString");
  decltype(&cudnnGetLastErrorString) get_last_error_string = function("cudnnGetLastErrorString");
  decltype(&cudnnBackendCreateDescriptor) create_descriptor = function("cudnnBackendCreateDescriptor");
  decltype(&cudnnBackendDestroyDescriptor) destroy_descriptor = function("cudnnBackendDestroyDescriptor");
  decltype(&cudnnBackendSetAttribute) set_attribute = function("cudnnBackendSetAttribute");
  decltype(&cudnnBackendGetAttribute) get_attribute = function("cudnnBackendGetAttribute");
  decltype(&cudnnBackendFinalize) finalize = function("cudnnBackendFinalize");
  decltype(&cudnnBackendExecute) execute = function("cudnnBackendExecute");
};

// Throws Unsupported without the library.
inline const Cudnn& cudnn() {
  return loaded<Cudnn>();
}

// Throws where `status` is an error, with cuDNN's own account of it. Statuses of the 3000s say that no engine takes the
// graph on this device (NVIDIA, "cuDNN API reference", cudnnStatus_t).
inline void check_cudnn(cudnnStatus_t status, const std::string& what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  std::array<char, 512> account{};
  cudnn().get_last_error_string(account.data(), account.size());
  const std::string text = "cuDNN, " + what + ": " + cudnn().get_error_string(status) + " " + account.data();
  const int family = static_cast<int>(status) / 1000;
  if (family == static_cast<int>(CUDNN_STATUS_NOT_SUPPORTED) / 1000) throw Unsupported(text);
  if (status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ||
      status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED)
    throw OutOfMemory(text);
  throw DeviceError(text);
}

}  // namespace echelon
