// NCCL, loaded when collectives are measured: without it all else can still be.
#pragma once

#include <nccl.h>

#include <string>

#include "calibrate/gpu/cuda/shared_library.h"

namespace echelon {

struct Nccl : private SharedLibrary {
  Nccl() : SharedLibrary("libnccl.so.2") {}

  decltype(&ncclGetUniqueId) get_unique_id = function("ncclGetUniqueId");
  decltype(&ncclCommInitRank) comm_init_rank = function("ncclCommInitRank");
  decltype(&ncclCommDestroy) comm_destroy = function("ncclCommDestroy");
  decltype(&ncclGroupStart) group_start = function("ncclGroupStart");
  decltype(&ncclGroupEnd) group_end = function("ncclGroupEnd");
  decltype(&ncclSend) send = function("ncclSend");
  decltype(&ncclRecv) recv = function("ncclRecv");
  decltype(&ncclAllReduce) all_reduce = function("ncclAllReduce");
  decltype(&ncclAllGather) all_gather = function("ncclAllGather");
  decltype(&ncclReduceScatter) reduce_scatter = function("ncclReduceScatter");
  decltype(&ncclBroadcast) broadcast = function("ncclBroadcast");
  decltype(&ncclReduce) reduce = function("ncclReduce");
  decltype(&ncclGetVersion) get_version = function("ncclGetVersion");
  decltype(&ncclGetErrorString) get_error_string = function("ncclGetErrorString");
  decltype(&ncclGetLastError) get_last_error = function("ncclGetLastError");
};

// Throws Unsupported without the library.
inline const Nccl& nccl() {
  return loaded<Nccl>();
}

// Throws where `status` is an error, with NCCL's own account of the last one in this process.
inline void check_nccl(ncclResult_t status, const char* what) {
  if (status == ncclSuccess) return;
  const char* const account = nccl().get_last_error(nullptr);
  throw DeviceError(std::string(what) + ": " + nccl().get_error_string(status) + "; " +
                    (account == nullptr ? "" : account));
}

}  // namespace echelon
