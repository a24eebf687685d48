#include "calibrate/gpu/cuda/world.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace echelon {
namespace {

constexpr char hex_digits[] = "0123456789abcdef";

std::string to_hex(const ncclUniqueId& id) {
  std::string text;
  for (const char c : id.internal) {
    const auto byte = static_cast<unsigned char>(c);
    text += hex_digits[byte / 16];
    text += hex_digits[byte % 16];
  }
  return text;
}

ncclUniqueId from_hex(const std::string& text) {
  ncclUniqueId id;
  if (text.size() != 2 * sizeof id.internal) throw DeviceError("rendezvous: the file holds no address of NCCL");
  const auto digit = [](char c) { return static_cast<int>(std::strchr(hex_digits, c) - hex_digits); };
  for (std::size_t i = 0; i < sizeof id.internal; ++i)
    id.internal[i] = static_cast<char>(16 * digit(text[2 * i]) + digit(text[2 * i + 1]));
  return id;
}

// To a rank's memory, on the stream of its collectives: cudaMemcpy may return while a small copy is still under way,
// and that stream would not wait for it (NVIDIA, "CUDA Runtime API", API synchronization behavior).
void copy_up(NcclRank& rank, const void* from, std::size_t bytes) {
  check(cudaMemcpyAsync(rank.in.data(), from, bytes, cudaMemcpyHostToDevice, *rank.stream), "cudaMemcpyAsync");
}

std::unique_ptr<NcclGroup> join(const Rendezvous& meeting) {
  const ncclUniqueId id = from_hex(meet(meeting, [] { return to_hex(new_nccl_id()); }));
  const NcclPlace place{meeting.ranks * meeting.gpus, meeting.gpus, meeting.rank * meeting.gpus};
  auto everyone = std::make_unique<NcclGroup>(place, id);
  everyone->reserve(aligned(sizeof(WorldOrder)));
  return everyone;
}

}  // namespace

World::World(const Rendezvous& rendezvous) : rendezvous_(rendezvous), everyone_(join(rendezvous)) {}

void World::pass(WorldOrder& order) {
  static_assert(sizeof order % 2 == 0, "calls count elements of two bytes");
  NcclRank& first = everyone_->ranks().front();
  copy_up(first, &order, sizeof order);
  everyone_->run(nccl_call("broadcast"), sizeof order / 2);
  check(cudaMemcpy(&order, first.out.data(), sizeof order, cudaMemcpyDeviceToHost), "order");
}

// A sum of what stands in the way, in bf16: 0 if nothing does, 1 or more (rounded or not) otherwise.
bool World::all(bool here) {
  constexpr std::uint16_t one = 0x3f80;  // 1 in bf16
  const std::array<std::uint16_t, 8> nothing{};
  for (NcclRank& rank : everyone_->ranks()) copy_up(rank, nothing.data(), sizeof nothing);
  NcclRank& first = everyone_->ranks().front();
  if (!here) copy_up(first, &one, sizeof one);
  everyone_->run(nccl_call("all_reduce"), nothing.size());
  std::uint16_t sum = 0;
  check(cudaMemcpy(&sum, first.out.data(), sizeof sum, cudaMemcpyDeviceToHost), "agreement");
  return sum == 0;
}

WorldOrder World::order_for(const Benchmark& benchmark, const Effort& effort) const {
  const std::int64_t nodes = benchmark.ranks / std::max<std::int64_t>(benchmark.ranks_per_node, 1);
  if (nodes > rendezvous_.ranks || benchmark.ranks_per_node > rendezvous_.gpus)
    throw Unsupported(std::to_string(rendezvous_.ranks) + " nodes of " + std::to_string(rendezvous_.gpus) +
                      " GPUs met");
  WorldOrder order;
  nccl_call(benchmark.operation);  // throws for a name that is none
  benchmark.operation.copy(order.operation.data(), order.operation.size() - 1);
  order.bytes = benchmark.bytes;
  order.ranks = static_cast<std::int32_t>(benchmark.ranks);
  order.ranks_per_node = static_cast<std::int32_t>(benchmark.ranks_per_node);
  order.runs = effort.least_runs;  // a time limit would end at another run on every node
  order.new_group = order.ranks == group_ranks_ && order.ranks_per_node == group_per_node_ ? 0 : 1;
  if (order.new_group != 0) order.id = new_nccl_id();
  return order;
}

Reading World::run_together(Context& context, const WorldOrder& order) {
  const bool takes_part = rendezvous_.rank < order.ranks / order.ranks_per_node;
  if (order.new_group != 0) {
    group_.reset();
    group_ranks_ = order.ranks;
    group_per_node_ = order.ranks_per_node;
    const NcclPlace place{order.ranks, order.ranks_per_node, rendezvous_.rank * order.ranks_per_node};
    if (takes_part) group_ = std::make_unique<NcclGroup>(place, order.id);
  }
  const auto bytes = static_cast<std::size_t>(order.bytes);
  bool has_room = true;
  if (takes_part) try {
      group_->reserve(aligned(bytes));
    } catch (const OutOfMemory&) {
      has_room = false;
    }
  if (!all(has_room)) throw OutOfMemory("on one of the nodes");
  if (!takes_part) return {};
  const NcclCall call = nccl_call(order.operation.data());
  group_->time(call, bytes / 2, calls_for(bytes), 1);  // warms up
  Reading reading;
  reading.microseconds = group_->time(call, bytes / 2, calls_for(bytes), order.runs);
  reading.conditions = context.nvml.conditions();
  return reading;
}

void follow(Context& context, World& world) {
  while (true) {
    WorldOrder order;
    world.pass(order);
    if (order.operation.front() == '\0') return;
    try {
      world.run_together(context, order);
    } catch (const OutOfMemory&) {  // agreed on; process 0 tells
    }
  }
}

int calls_for(std::size_t bytes) {
  constexpr std::size_t bytes_a_run = std::size_t{64} << 20;
  return static_cast<int>(std::clamp<std::size_t>(bytes_a_run / std::max<std::size_t>(bytes, 1), 1, 100));
}

}  // namespace echelon
