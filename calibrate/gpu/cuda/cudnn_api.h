// cuDNN 9's backend interface, loaded when fused attention is measured.
#pragma once

#include <cudnn_graph.h>

#include <array>
#include <string>

#include "calibrate/gpu/cuda/shared_library.h"

namespace echelon {

struct Cudnn {
  decltype(&cudnnCreate) create = nullptr;
  decltype(&cudnnDestroy) destroy = nullptr;
  decltype(&cudnnSetStream) set_stream = nullptr;
  decltype(&cudnnGetVersion) get_version = nullptr;
  decltype(&cudnnGetErrorString) get_error_string = nullptr;
  decltype(&cudnnGetLastErrorString) get_last_error_string = nullptr;
  decltype(&cudnnBackendCreateDescriptor) create_descriptor = nullptr;
  decltype(&cudnnBackendDestroyDescriptor) destroy_descriptor = nullptr;
  decltype(&cudnnBackendSetAttribute) set_attribute = nullptr;
  decltype(&cudnnBackendGetAttribute) get_attribute = nullptr;
  decltype(&cudnnBackendFinalize) finalize = nullptr;
  decltype(&cudnnBackendExecute) execute = nullptr;

  Cudnn() {
    const SharedLibrary library("libcudnn.so.9");
    library.find(create, "cudnnCreate");
    library.find(destroy, "cudnnDestroy");
    library.find(set_stream, "cudnnSetStream");
    library.find(get_version, "cudnnGetVersion");
    library.find(get_error_string, "cudnnGetErrorString");
    library.find(get_last_error_string, "cudnnGetLastErrorString");
    library.find(create_descriptor, "cudnnBackendCreateDescriptor");
    library.find(destroy_descriptor, "cudnnBackendDestroyDescriptor");
    library.find(set_attribute, "cudnnBackendSetAttribute");
    library.find(get_attribute, "cudnnBackendGetAttribute");
    library.find(finalize, "cudnnBackendFinalize");
    library.find(execute, "cudnnBackendExecute");
  }
};

// Throws Unsupported without the library.
inline const Cudnn& cudnn() {
  static const Cudnn loaded;
  return loaded;
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
