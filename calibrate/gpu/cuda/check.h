// Statuses of CUDA and cuBLAS as exceptions (errors.h).
#pragma once

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <string>

#include "calibrate/gpu/cuda/errors.h"

namespace echelon {

// Throw where `status` is an error; `what` says which call it was.
inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // else later calls would report it again
  const std::string text = std::string(what) + ": " + cudaGetErrorString(status);
  if (status == cudaErrorMemoryAllocation) throw OutOfMemory(text);
  if (status == cudaErrorNotSupported || status == cudaErrorNoKernelImageForDevice) throw Unsupported(text);
  throw DeviceError(text);
}

inline void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const std::string text = std::string(what) + ": " + cublasLtGetStatusString(status);
  if (status == CUBLAS_STATUS_ALLOC_FAILED) throw OutOfMemory(text);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_ARCH_MISMATCH) throw Unsupported(text);
  throw DeviceError(text);
}

}  // namespace echelon
