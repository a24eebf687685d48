// NCCL between the devices of one process or of several (fake_nodes.h), and the few functions of NVML.
#include <nccl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>

#include "tests/calibrate/cuda/fake_cuda.h"
#include "tests/calibrate/cuda/fake_nodes.h"

using namespace echelon::fake;

// What the ranks of one group have in common.
struct Clique {
  int ranks = 0;
  int joined = 0;                // here
  std::unique_ptr<Nodes> nodes;  // where some ranks are in other processes
  std::string calls;             // of the first rank that left
  bool failed = false;
};

struct ncclComm {
  Clique* clique = nullptr;
  int device = 0;
  int number = 0;
  long collectives = 0;
  std::string calls;
};

namespace {

thread_local int depth = 0;  // of groups
std::map<std::string, Clique> cliques;

std::size_t bytes_of(std::size_t count, ncclDataType_t type) {
  if (type != ncclBfloat16) wrong("a collective on another type");
  return 2 * count;
}

// What a failed call leaves behind is no mistake where ranks of other processes wait for it: those end.
void fail(Clique& clique) {
  clique.failed = true;
  if (clique.nodes != nullptr) forgive_leaks();
}

// One rank's call, with what it reads and writes.
ncclResult_t called(const std::string& name, ncclComm_t rank, cudaStream_t stream, const void* in, std::size_t in_bytes,
                    const void* out, std::size_t out_bytes) {
  const std::lock_guard lock(mutex());
  if (const int status = failure("nccl")) {
    fail(*rank->clique);
    if (status < 0) std::abort();
    return static_cast<ncclResult_t>(status);
  }
  if (!exists(rank, "communicator")) {
    wrong(name + " without a communicator");
    return ncclInvalidArgument;
  }
  if (rank->device != current_device()) wrong(name + " while another device is set");
  if (in != nullptr) need_device(in, in_bytes, 2, name);
  if (out != nullptr) need_device(out, out_bytes, 2, name);
  if (rank->clique->joined != rank->clique->ranks && rank->clique->nodes == nullptr)
    wrong(name + " before all ranks have joined");
  const bool to_one = name == "ncclSend" || name == "ncclRecv";
  if (to_one && depth == 0) wrong(name + " outside a group waits for its peer");
  if (!to_one) rank->calls += name + std::to_string(in_bytes) + " ";
  // 10 us and 400 GB/s: only durations depend on it.
  enqueue(stream, 10 + static_cast<double>(in_bytes + out_bytes) / 4e5, name);
  return ncclSuccess;
}

// The same, with the ranks of all processes, which wait for each other; `work` is what becomes of all their inputs.
ncclResult_t together(const std::string& name, ncclComm_t rank, cudaStream_t stream, const void* in,
                      std::size_t in_bytes, void* out, std::size_t out_bytes, Nodes::Work work) {
  const ncclResult_t status = called(name, rank, stream, in, in_bytes, out, out_bytes);
  if (status == ncclSuccess && rank->clique->nodes != nullptr)
    rank->clique->nodes->meet(rank->number, rank->collectives++, in, in_bytes, out, out_bytes, work);
  return status;
}

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}
const char* ncclGetErrorString(ncclResult_t) {
  return "an injected error";
}
const char* ncclGetLastError(ncclComm_t) {
  return "which one is no secret";
}
ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static int number = 0;
  std::memset(id->internal, 0, sizeof id->internal);
  std::snprintf(id->internal, sizeof id->internal, "%d-%d", getpid(), ++number);
  return ncclSuccess;
}
ncclResult_t ncclGroupStart() {
  ++depth;
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  const std::lock_guard lock(mutex());
  if (depth-- == 0) wrong("ncclGroupEnd without its beginning");
  if (depth > 0) return ncclSuccess;
  for (auto& [id, clique] : cliques) {
    if (clique.joined == clique.ranks || clique.nodes != nullptr || clique.failed) continue;
    clique.nodes = Nodes::joined(id, clique.joined, clique.ranks);
    if (clique.nodes == nullptr) wrong("a group whose ranks do not all join");
  }
  return ncclSuccess;
}
ncclResult_t ncclCommInitRank(ncclComm_t* rank, int ranks, ncclUniqueId id, int number) {
  const std::lock_guard lock(mutex());
  Clique& clique = cliques[id.internal];
  if (const int status = failure("ncclCommInitRank")) {
    fail(clique);
    return static_cast<ncclResult_t>(status);
  }
  if (depth == 0 && ranks > 1) wrong("ncclCommInitRank outside a group waits for the other ranks");
  if (number < 0 || number >= ranks) wrong("a rank beyond the group");
  clique.ranks = ranks;
  ++clique.joined;
  *rank = new ncclComm{&clique, current_device(), number, 0, ""};
  made(*rank, "communicator");
  pass(1e6);  // they take seconds
  return ncclSuccess;
}
ncclResult_t ncclCommDestroy(ncclComm_t rank) {
  const std::lock_guard lock(mutex());
  if (rank->clique->calls.empty()) rank->clique->calls = rank->calls;
  if (rank->clique->calls != rank->calls && !rank->clique->failed) wrong("ranks of a group made other calls");
  released(rank, "communicator");
  delete rank;
  return ncclSuccess;
}

ncclResult_t ncclSend(const void* in, std::size_t count, ncclDataType_t type, int, ncclComm_t rank,
                      cudaStream_t stream) {
  return called("ncclSend", rank, stream, in, bytes_of(count, type), nullptr, 0);
}
ncclResult_t ncclRecv(void* out, std::size_t count, ncclDataType_t type, int, ncclComm_t rank, cudaStream_t stream) {
  return called("ncclRecv", rank, stream, nullptr, 0, out, bytes_of(count, type));
}
ncclResult_t ncclAllReduce(const void* in, void* out, std::size_t count, ncclDataType_t type, ncclRedOp_t,
                           ncclComm_t rank, cudaStream_t stream) {
  return together("ncclAllReduce", rank, stream, in, bytes_of(count, type), out, bytes_of(count, type),
                  Nodes::Work::sum);
}
ncclResult_t ncclAllGather(const void* in, void* out, std::size_t count, ncclDataType_t type, ncclComm_t rank,
                           cudaStream_t stream) {
  const auto ranks = static_cast<std::size_t>(rank->clique->ranks);
  return together("ncclAllGather", rank, stream, in, bytes_of(count, type), out, ranks * bytes_of(count, type),
                  Nodes::Work::none);
}
ncclResult_t ncclReduceScatter(const void* in, void* out, std::size_t count, ncclDataType_t type, ncclRedOp_t,
                               ncclComm_t rank, cudaStream_t stream) {
  const auto ranks = static_cast<std::size_t>(rank->clique->ranks);
  return together("ncclReduceScatter", rank, stream, in, ranks * bytes_of(count, type), out, bytes_of(count, type),
                  Nodes::Work::none);
}
ncclResult_t ncclBroadcast(const void* in, void* out, std::size_t count, ncclDataType_t type, int, ncclComm_t rank,
                           cudaStream_t stream) {
  return together("ncclBroadcast", rank, stream, in, bytes_of(count, type), out, bytes_of(count, type),
                  Nodes::Work::first);
}
ncclResult_t ncclReduce(const void* in, void* out, std::size_t count, ncclDataType_t type, ncclRedOp_t, int,
                        ncclComm_t rank, cudaStream_t stream) {
  return together("ncclReduce", rank, stream, in, bytes_of(count, type), out, bytes_of(count, type), Nodes::Work::none);
}

// NVML, as nvml.cpp declares it: MHz, milliwatts, degrees.
int nvmlInit_v2() {
  return failure("nvmlInit");
}
int nvmlDeviceGetHandleByPciBusId_v2(const char*, void** device) {
  static int one = 0;
  *device = &one;
  return 0;
}
int nvmlDeviceGetClockInfo(void*, int which, unsigned* mhz) {
  pass(300);
  *mhz = which == 2 ? 3201 : 1980;
  return 0;
}
int nvmlDeviceGetPowerUsage(void*, unsigned* milliwatts) {
  pass(300);
  *milliwatts = 650000;
  return 0;
}
int nvmlDeviceGetTemperature(void*, int, unsigned* celsius) {
  *celsius = 55;
  return 0;
}
int nvmlSystemGetDriverVersion(char* text, unsigned length) {
  std::snprintf(text, length, "580.159.04");
  return 0;
}

}  // extern "C"
