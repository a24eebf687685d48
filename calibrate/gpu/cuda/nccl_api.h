// NCCL, loaded when collectives are measured: without it all else can still be.
#pragma once

#include <nccl.h>

#include <string>

#include "calibrate/gpu/cuda/shared_library.h"

namespace echelon {

struct Nccl {
  decltype(&ncclGetUniqueId) get_unique_id = nullptr;
  decltype(&ncclCommInitRank) comm_init_rank = nullptr;
  decltype(&ncclCommDestroy) comm_destroy = nullptr;
  decltype(&ncclGroupStart) group_start = nullptr;
  decltype(&ncclGroupEnd) group_end = nullptr;
  decltype(&ncclSend) send = nullptr;
  decltype(&ncclRecv) recv = nullptr;
  decltype(&ncclAllReduce) all_reduce = nullptr;
  decltype(&ncclAllGather) all_gather = nullptr;
  decltype(&ncclReduceScatter) reduce_scatter = nullptr;
  decltype(&ncclBroadcast) broadcast = nullptr;
  decltype(&ncclReduce) reduce = nullptr;
  decltype(&ncclGetVersion) get_version = nullptr;
  decltype(&ncclGetErrorString) get_error_string = nullptr;

  Nccl() {
    const SharedLibrary library("libnccl.so.2");
    library.find(get_unique_id, "ncclGetUniqueId");
    library.find(comm_init_rank, "ncclCommInitRank");
    library.find(comm_destroy, "ncclCommDestroy");
    library.find(group_start, "ncclGroupStart");
    library.find(group_end, "ncclGroupEnd");
    library.find(send, "ncclSend");
    library.find(recv, "ncclRecv");
    library.find(all_reduce, "ncclAllReduce");
    library.find(all_gather, "ncclAllGather");
    library.find(reduce_scatter, "ncclReduceScatter");
    library.find(broadcast, "ncclBroadcast");
    library.find(reduce, "ncclReduce");
    library.find(get_version, "ncclGetVersion");
    library.find(get_error_string, "ncclGetErrorString");
  }
};

// Throws Unsupported without the library.
inline const Nccl& nccl() {
  static const Nccl loaded;
  return loaded;
}

inline void check_nccl(ncclResult_t status, const char* what) {
  if (status != ncclSuccess) throw DeviceError(std::string(what) + ": " + nccl().get_error_string(status));
}

}  // namespace echelon
