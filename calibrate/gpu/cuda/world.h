// Processes on several nodes that measure together: process 0 says what, the others take part.
//
//   process 0        World(...)  { call(order) then run_together(order) }*  call(stop)
//   the others       World(...)  { order = answer() then run_together(order) }*  until stop
//
// Whether a benchmark can be run is agreed on before its first collective, so that memory that one node lacks leaves
// nobody waiting. A process that dies or errs does, since a collective has no way out: whoever watches them
// (../peers.h) ends them and starts them anew. NCCL's own way, communicators that do not block and can be aborted,
// would start a thread for each call (NVIDIA/nccl, group.cc), which is time that training does not take.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "calibrate/gpu/cuda/nccl_group.h"
#include "calibrate/gpu/rendezvous.h"

namespace echelon {

// What process 0 wants measured, as plain bytes.
struct WorldOrder {
  std::array<char, 32> operation{};  // a collective's name; empty = stop
  std::int64_t bytes = 0;
  std::int32_t ranks = 0;
  std::int32_t ranks_per_node = 0;
  std::int32_t runs = 0;
  std::int32_t new_group = 0;  // 1: with `id`, else the last one serves
  ncclUniqueId id{};
};

class World {
 public:
  // Meets the others and joins all their GPUs. Throws std::runtime_error where somebody does not come, DeviceError
  // where NCCL cannot join them.
  explicit World(const Rendezvous& rendezvous);

  int nodes() const { return rendezvous_.ranks; }
  // Hands an order of process 0 to everyone.
  void pass(WorldOrder& order);
  // Whether all say so.
  bool all(bool here);

  // Process 0 alone: an order for a benchmark of several nodes. Throws Unsupported where the world is too small.
  WorldOrder order_for(const Benchmark& benchmark, const Effort& effort) const;
  // Everyone: runs it and gives its times; none on a process whose node takes no part. Throws OutOfMemory on all alike.
  Reading run_together(Context& context, const WorldOrder& order);

 private:
  Rendezvous rendezvous_;
  std::unique_ptr<NcclGroup> everyone_;
  std::unique_ptr<NcclGroup> group_;  // of the last order
  int group_ranks_ = 0;
  int group_per_node_ = 0;
};

// The rest of process `rank` > 0: takes part until process 0 stops. Throws what run_together throws beyond memory.
void follow(Context& context, World& world);

// How often a collective on so many bytes is called in one timed run.
int calls_for(std::size_t bytes);

}  // namespace echelon
