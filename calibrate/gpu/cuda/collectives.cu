#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "calibrate/gpu/cuda/families.h"

#ifdef ECHELON_HAVE_NCCL
#include "calibrate/gpu/cuda/nccl_api.h"
#endif

namespace echelon {

#ifdef ECHELON_HAVE_NCCL
namespace {

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

struct Rank {
  int device = 0;
  ncclComm_t communicator = nullptr;
  std::unique_ptr<Stream> stream;
  DeviceBuffer in, out;
};

// One rank's call; `count` elements of bf16 in the full vector. nccl-tests counts all-gather and reduce-scatter by it
// too.
using Call = ncclResult_t (*)(Rank& rank, std::size_t count, int index, int ranks);

class Node {
 public:
  explicit Node(int ranks) : ranks_(static_cast<std::size_t>(ranks)) {
    std::vector<ncclComm_t> communicators(ranks_.size());
    check_nccl(nccl().comm_init_all(communicators.data(), ranks, nullptr), "ncclCommInitAll");
    for (int i = 0; i < ranks; ++i) {
      Rank& rank = ranks_[static_cast<std::size_t>(i)];
      rank.device = i;
      rank.communicator = communicators[static_cast<std::size_t>(i)];
    }
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node() {
    const DeviceSwitch keep;
    for (Rank& rank : ranks_) {
      cudaSetDevice(rank.device);
      if (rank.communicator != nullptr) nccl().comm_destroy(rank.communicator);
      rank.stream.reset();
      rank.in = DeviceBuffer();
      rank.out = DeviceBuffer();
    }
  }

  std::size_t size() const { return ranks_.size(); }

  // Buffers of at least so many bytes on every rank.
  void reserve(std::size_t bytes) {
    const DeviceSwitch keep;
    for (Rank& rank : ranks_) {
      check(cudaSetDevice(rank.device), "cudaSetDevice");
      if (rank.stream == nullptr) rank.stream = std::make_unique<Stream>();
      if (rank.out.bytes() >= bytes) continue;
      rank.in = DeviceBuffer();
      rank.out = DeviceBuffer();
      rank.in = DeviceBuffer(bytes);
      fill_random(rank.in.data(), bytes, "bf16");
      rank.out = DeviceBuffer(bytes);
    }
  }
  // Every rank's calls from a thread of its own, as processes of a training run make them; returns when all are done.
  void run(Call call, std::size_t count, int calls) {
    std::vector<std::thread> threads;
    std::vector<ncclResult_t> statuses(ranks_.size(), ncclSuccess);
    for (std::size_t i = 0; i < ranks_.size(); ++i)
      threads.emplace_back([&, i] { statuses[i] = run_rank(call, count, calls, static_cast<int>(i)); });
    for (std::thread& thread : threads) thread.join();
    for (const ncclResult_t status : statuses) check_nccl(status, "collective");
  }

 private:
  ncclResult_t run_rank(Call call, std::size_t count, int calls, int index) {
    Rank& rank = ranks_[static_cast<std::size_t>(index)];
    cudaSetDevice(rank.device);
    for (int i = 0; i < calls; ++i) {
      nccl().group_start();
      const ncclResult_t status = call(rank, count, index, static_cast<int>(ranks_.size()));
      const ncclResult_t end = nccl().group_end();
      if (status != ncclSuccess || end != ncclSuccess) return status != ncclSuccess ? status : end;
    }
    return cudaStreamSynchronize(*rank.stream) == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
  }

  std::vector<Rank> ranks_;
};

ncclResult_t exchange(Rank& rank, std::size_t count, int index, int ranks) {
  const std::size_t part = count / static_cast<std::size_t>(ranks);
  for (int i = 0; i < ranks; ++i) {
    const int peer = (index + i) % ranks;
    const std::size_t at = 2 * part * static_cast<std::size_t>(peer);
    ncclResult_t status = nccl().send(rank.in.data() + at, part, ncclBfloat16, peer, rank.communicator, *rank.stream);
    if (status == ncclSuccess)
      status = nccl().recv(rank.out.data() + at, part, ncclBfloat16, peer, rank.communicator, *rank.stream);
    if (status != ncclSuccess) return status;
  }
  return ncclSuccess;
}

ncclResult_t pass_on(Rank& rank, std::size_t count, int index, int ranks) {
  const int next = (index + 1) % ranks, before = (index + ranks - 1) % ranks;
  const ncclResult_t status = nccl().send(rank.in.data(), count, ncclBfloat16, next, rank.communicator, *rank.stream);
  return status != ncclSuccess
             ? status
             : nccl().recv(rank.out.data(), count, ncclBfloat16, before, rank.communicator, *rank.stream);
}

struct Collective {
  const char* name;
  Call call;
};

const std::vector<Collective>& collectives() {
  static const std::vector<Collective> all{
      {"all_reduce",
       [](Rank& r, std::size_t count, int, int) {
         return nccl().all_reduce(r.in.data(), r.out.data(), count, ncclBfloat16, ncclSum, r.communicator, *r.stream);
       }},
      {"all_gather",
       [](Rank& r, std::size_t count, int, int ranks) {
         return nccl().all_gather(r.in.data(), r.out.data(), count / static_cast<std::size_t>(ranks), ncclBfloat16,
                                  r.communicator, *r.stream);
       }},
      {"reduce_scatter",
       [](Rank& r, std::size_t count, int, int ranks) {
         return nccl().reduce_scatter(r.in.data(), r.out.data(), count / static_cast<std::size_t>(ranks), ncclBfloat16,
                                      ncclSum, r.communicator, *r.stream);
       }},
      {"broadcast",
       [](Rank& r, std::size_t count, int, int) {
         return nccl().broadcast(r.in.data(), r.out.data(), count, ncclBfloat16, 0, r.communicator, *r.stream);
       }},
      {"reduce",
       [](Rank& r, std::size_t count, int, int) {
         return nccl().reduce(r.in.data(), r.out.data(), count, ncclBfloat16, ncclSum, 0, r.communicator, *r.stream);
       }},
      {"all_to_all", exchange},
      {"send_receive", pass_on},
  };
  return all;
}

Call call_of(const std::string& name) {
  for (const Collective& one : collectives())
    if (name == one.name) return one.call;
  throw Unsupported("collective '" + name + "'");
}

}  // namespace

Reading measure_collective(Context& context, const Benchmark& benchmark, const Effort& effort) {
  constexpr int most_calls = 100;
  const Call call = call_of(benchmark.operation);
  const int ranks = static_cast<int>(benchmark.ranks);
  int devices = 0;
  check(cudaGetDeviceCount(&devices), "cudaGetDeviceCount");
  if (ranks < 2 || ranks > devices) throw Unsupported(std::to_string(devices) + " GPUs are here");
  const auto bytes = static_cast<std::size_t>(benchmark.bytes);
  context.operands.release();
  context.results.release();
  auto node = std::static_pointer_cast<Node>(context.communicators);
  // Kept for the next benchmark only if this one goes well.
  context.communicators.reset();
  if (node == nullptr || node->size() != static_cast<std::size_t>(ranks)) {
    node.reset();
    node = std::make_shared<Node>(ranks);
  }
  node->reserve(aligned(bytes));
  const auto count = bytes / 2;
  const int calls = static_cast<int>(std::clamp<std::size_t>((std::size_t{64} << 20) / bytes, 1, most_calls));
  Reading reading = time_on_host(
      context, [&] { node->run(call, count, calls); }, effort);
  context.communicators = node;
  for (double& time : reading.microseconds) time /= calls;
  return reading;
}

std::string nccl_version() {
  int version = 0;
  try {
    if (nccl().get_version(&version) != ncclSuccess) return "";
  } catch (const Unsupported&) {
    return "";
  }
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

#else

Reading measure_collective(Context&, const Benchmark&, const Effort&) {
  throw Unsupported("this program was built without NCCL");
}

std::string nccl_version() {
  return "";
}

#endif

}  // namespace echelon
