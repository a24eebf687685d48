#include "calibrate/gpu/cuda/nccl_group.h"

#include <algorithm>
#include <array>
#include <future>
#include <string_view>

#include "calibrate/gpu/cuda/event.h"

namespace echelon {
namespace {

ncclResult_t exchange(NcclRank& rank, std::size_t count, int ranks) {
  const std::size_t part = count / static_cast<std::size_t>(ranks);
  for (int i = 0; i < ranks; ++i) {
    const int peer = (rank.number + i) % ranks;
    const std::size_t at = 2 * part * static_cast<std::size_t>(peer);
    ncclResult_t status = nccl().send(rank.in.data() + at, part, ncclBfloat16, peer, rank.communicator, *rank.stream);
    if (status == ncclSuccess)
      status = nccl().recv(rank.out.data() + at, part, ncclBfloat16, peer, rank.communicator, *rank.stream);
    if (status != ncclSuccess) return status;
  }
  return ncclSuccess;
}

ncclResult_t pass_on(NcclRank& rank, std::size_t count, int ranks) {
  const int next = (rank.number + 1) % ranks, before = (rank.number + ranks - 1) % ranks;
  const ncclResult_t status = nccl().send(rank.in.data(), count, ncclBfloat16, next, rank.communicator, *rank.stream);
  return status != ncclSuccess
             ? status
             : nccl().recv(rank.out.data(), count, ncclBfloat16, before, rank.communicator, *rank.stream);
}

struct Collective {
  std::string_view name;
  NcclCall call;
};

constexpr std::array<Collective, 7> collectives{{
    {"all_reduce",
     [](NcclRank& r, std::size_t count, int) {
       return nccl().all_reduce(r.in.data(), r.out.data(), count, ncclBfloat16, ncclSum, r.communicator, *r.stream);
     }},
    {"all_gather",
     [](NcclRank& r, std::size_t count, int ranks) {
       return nccl().all_gather(r.in.data(), r.out.data(), count / static_cast<std::size_t>(ranks), ncclBfloat16,
                                r.communicator, *r.stream);
     }},
    {"reduce_scatter",
     [](NcclRank& r, std::size_t count, int ranks) {
       return nccl().reduce_scatter(r.in.data(), r.out.data(), count / static_cast<std::size_t>(ranks), ncclBfloat16,
                                    ncclSum, r.communicator, *r.stream);
     }},
    {"broadcast",
     [](NcclRank& r, std::size_t count, int) {
       return nccl().broadcast(r.in.data(), r.out.data(), count, ncclBfloat16, 0, r.communicator, *r.stream);
     }},
    {"reduce",
     [](NcclRank& r, std::size_t count, int) {
       return nccl().reduce(r.in.data(), r.out.data(), count, ncclBfloat16, ncclSum, 0, r.communicator, *r.stream);
     }},
    {"all_to_all", exchange},
    {"send_receive", pass_on},
}};

}  // namespace

NcclCall nccl_call(const std::string& name) {
  for (const Collective& one : collectives)
    if (name == one.name) return one.call;
  throw Unsupported("collective '" + name + "'");
}

ncclUniqueId new_nccl_id() {
  ncclUniqueId id;
  check_nccl(nccl().get_unique_id(&id), "ncclGetUniqueId");
  return id;
}

NcclGroup::NcclGroup(const NcclPlace& place, const ncclUniqueId& id)
    : place_(place), ranks_(static_cast<std::size_t>(place.local)) {
  const DeviceSwitch keep;
  for (int i = 0; i < place.local; ++i) {
    ranks_[static_cast<std::size_t>(i)].device = i;
    ranks_[static_cast<std::size_t>(i)].number = place.first + i;
  }
  check_nccl(nccl().group_start(), "ncclGroupStart");
  ncclResult_t status = ncclSuccess;
  for (NcclRank& rank : ranks_) {
    if (status != ncclSuccess || cudaSetDevice(rank.device) != cudaSuccess) break;
    status = nccl().comm_init_rank(&rank.communicator, place.ranks, id, rank.number);
  }
  const ncclResult_t end = nccl().group_end();
  check_nccl(status != ncclSuccess ? status : end, "ncclCommInitRank");
}

NcclGroup::~NcclGroup() {
  int before = 0;
  cudaGetDevice(&before);
  for (NcclRank& rank : ranks_) {
    cudaSetDevice(rank.device);
    if (rank.communicator != nullptr) nccl().comm_destroy(rank.communicator);
    rank.stream.reset();
    rank.in = DeviceBuffer();
    rank.out = DeviceBuffer();
  }
  cudaSetDevice(before);
}

void NcclGroup::reserve(std::size_t bytes) {
  const DeviceSwitch keep;
  for (NcclRank& rank : ranks_) {
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

std::vector<double> NcclGroup::time_rank(NcclCall call, std::size_t count, int calls, int runs, NcclRank& rank) const {
  check(cudaSetDevice(rank.device), "cudaSetDevice");
  const auto once = [&] {
    nccl().group_start();
    const ncclResult_t status = call(rank, count, place_.ranks);
    const ncclResult_t end = nccl().group_end();
    check_nccl(status != ncclSuccess ? status : end, "collective");
  };
  once();
  std::vector<Event> marks(static_cast<std::size_t>(runs) + 1);
  marks.front().record(*rank.stream);
  for (std::size_t run = 1; run < marks.size(); ++run) {
    for (int i = 0; i < calls; ++i) once();
    marks[run].record(*rank.stream);
  }
  check(cudaStreamSynchronize(*rank.stream), "collective");
  std::vector<double> times;
  for (std::size_t run = 1; run < marks.size(); ++run)
    times.push_back(marks[run].microseconds_since(marks[run - 1]) / calls);
  return times;
}

std::vector<double> NcclGroup::time(NcclCall call, std::size_t count, int calls, int runs) {
  std::vector<std::future<std::vector<double>>> ranks;
  for (NcclRank& rank : ranks_)
    ranks.push_back(std::async(std::launch::async, [&] { return time_rank(call, count, calls, runs, rank); }));
  for (const auto& rank : ranks) rank.wait();
  std::vector<double> slowest(static_cast<std::size_t>(runs), 0);
  for (auto& rank : ranks) {
    const std::vector<double> times = rank.get();
    std::transform(times.begin(), times.end(), slowest.begin(), slowest.begin(),
                   [](double a, double b) { return std::max(a, b); });
  }
  return slowest;
}

void NcclGroup::enqueue(NcclCall call, std::size_t count) {
  const DeviceSwitch keep;
  check_nccl(nccl().group_start(), "ncclGroupStart");
  ncclResult_t status = ncclSuccess;
  for (NcclRank& rank : ranks_)
    if (status == ncclSuccess && cudaSetDevice(rank.device) == cudaSuccess) status = call(rank, count, place_.ranks);
  const ncclResult_t end = nccl().group_end();
  check_nccl(status != ncclSuccess ? status : end, "collective");
}

void NcclGroup::wait() {
  const DeviceSwitch keep;
  for (const NcclRank& rank : ranks_) {
    check(cudaSetDevice(rank.device), "cudaSetDevice");
    check(cudaStreamSynchronize(*rank.stream), "collective");
  }
}

}  // namespace echelon
