// NCCL, loaded when collectives are measured: without it all else can still be.
#pragma once

#include <dlfcn.h>
#include <nccl.h>

#include <string>
#include <type_traits>

#include "calibrate/gpu/cuda/check.h"

namespace echelon {

struct Nccl {
  decltype(&ncclCommInitAll) comm_init_all = nullptr;
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
    void* const library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw Unsupported(dlerror());
    const auto load = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
      if (function == nullptr) throw Unsupported(std::string("NCCL has no ") + name);
    };
    load(comm_init_all, "ncclCommInitAll");
    load(comm_destroy, "ncclCommDestroy");
    load(group_start, "ncclGroupStart");
    load(group_end, "ncclGroupEnd");
    load(send, "ncclSend");
    load(recv, "ncclRecv");
    load(all_reduce, "ncclAllReduce");
    load(all_gather, "ncclAllGather");
    load(reduce_scatter, "ncclReduceScatter");
    load(broadcast, "ncclBroadcast");
    load(reduce, "ncclReduce");
    load(get_version, "ncclGetVersion");
    load(get_error_string, "ncclGetErrorString");
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
