// Ranks of NCCL on the GPUs of this process, alone or with those of other processes.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "calibrate/gpu/cuda/context.h"
#include "calibrate/gpu/cuda/nccl_api.h"

namespace echelon {

// Devices are switched between while a node's ranks are driven; the one of the benchmarks is put back.
class DeviceSwitch {
 public:
  DeviceSwitch() { check(cudaGetDevice(&before_), "cudaGetDevice"); }
  DeviceSwitch(const DeviceSwitch&) = delete;
  DeviceSwitch& operator=(const DeviceSwitch&) = delete;
  ~DeviceSwitch() { cudaSetDevice(before_); }

 private:
  int before_ = 0;
};

struct NcclRank {
  int device = 0;
  int number = 0;  // among all ranks of the group
  ncclComm_t communicator = nullptr;
  std::unique_ptr<Stream> stream;
  DeviceBuffer in, out;
};

// One rank's call; `count` elements of bf16 in the full vector. nccl-tests counts all-gather and reduce-scatter by it
// too.
using NcclCall = ncclResult_t (*)(NcclRank& rank, std::size_t count, int ranks);

// Which ranks of a group are here: `local` from number `first` on, of `ranks`.
struct NcclPlace {
  int ranks = 1;
  int local = 1;
  int first = 0;
};

ncclUniqueId new_nccl_id();

class NcclGroup {
 public:
  // On GPUs 0, 1, ... of this process. Returns when all processes of the group have called it.
  NcclGroup(const NcclPlace& place, const ncclUniqueId& id);
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;
  ~NcclGroup();

  int size() const { return place_.ranks; }
  std::vector<NcclRank>& ranks() { return ranks_; }

  // Buffers of at least so many bytes on every rank here.
  void reserve(std::size_t bytes);
  // One call of every rank here, each from a thread of its own, as processes of a training run make them; returns when
  // all are done.
  void run(NcclCall call, std::size_t count) { time(call, count, 0, 0); }
  // The same, and behind that call, which lines the ranks up, so many timed runs of `calls` each, with nobody waiting
  // in between: microseconds of one call, an entry a run, of the slowest rank here.
  std::vector<double> time(NcclCall call, std::size_t count, int calls, int runs);
  // One call of every rank here, on its stream; does not wait.
  void enqueue(NcclCall call, std::size_t count);
  // For what was enqueued.
  void wait();

 private:
  std::vector<double> time_rank(NcclCall call, std::size_t count, int calls, int runs, NcclRank& rank) const;

  NcclPlace place_;
  std::vector<NcclRank> ranks_;
};

// The call of a collective: all_reduce, all_gather, reduce_scatter, broadcast, reduce, all_to_all, send_receive.
// Throws Unsupported for another name.
NcclCall nccl_call(const std::string& name);

}  // namespace echelon
