#include "calibrate/gpu/cuda/families.h"

#ifdef ECHELON_HAVE_NCCL
#include "calibrate/gpu/cuda/world.h"
#endif

namespace echelon {

#ifdef ECHELON_HAVE_NCCL
namespace {

// The group of the first `ranks` GPUs of this process, as the last benchmark left it or new; kept for the next one only
// if this one goes well.
std::shared_ptr<NcclGroup> local_group(Context& context, int ranks) {
  auto group = std::static_pointer_cast<NcclGroup>(std::exchange(context.communicators, nullptr));
  if (group != nullptr && group->size() == ranks) return group;
  group.reset();
  return std::make_shared<NcclGroup>(NcclPlace{ranks, ranks, 0}, new_nccl_id());
}

}  // namespace

Reading measure_collective(Context& context, const Benchmark& benchmark, const Effort& effort) {
  context.operands.release();
  context.results.release();
  if (benchmark.ranks_per_node > 0) {
    context.communicators.reset();
    if (context.world == nullptr) throw Unsupported("one process alone; --rendezvous joins several nodes");
    WorldOrder order = context.world->order_for(benchmark, effort);
    context.world->pass(order);
    return context.world->run_together(context, order);
  }
  const NcclCall call = nccl_call(benchmark.operation);
  const int ranks = static_cast<int>(benchmark.ranks);
  int devices = 0;
  check(cudaGetDeviceCount(&devices), "cudaGetDeviceCount");
  if (ranks < 2 || ranks > devices) throw Unsupported(std::to_string(devices) + " GPUs are here");
  const auto bytes = static_cast<std::size_t>(benchmark.bytes);
  const std::shared_ptr<NcclGroup> group = local_group(context, ranks);
  group->reserve(aligned(bytes));
  const auto block = [&](int runs) { return group->time(call, bytes / 2, calls_for(bytes), runs); };
  Reading reading = time_in_blocks(context, block, effort);
  context.communicators = group;
  return reading;
}

LoadBeside collectives_beside(Context& context, std::size_t bytes) {
  int devices = 0;
  check(cudaGetDeviceCount(&devices), "cudaGetDeviceCount");
  if (devices < 2) throw Unsupported("one GPU has nobody to reduce with");
  const std::shared_ptr<NcclGroup> group = local_group(context, devices);
  group->reserve(aligned(bytes));
  context.communicators = group;
  const NcclCall call = nccl_call("all_reduce");
  return {[group, call, bytes] { group->enqueue(call, bytes / 2); }, [group] { group->wait(); }};
}

int join_world(Context& context, const Rendezvous& rendezvous) {
  context.world = std::make_shared<World>(rendezvous);
  return context.world->nodes();
}

void follow_world(Context& context) {
  follow(context, *context.world);
}

void leave_world(Context& context) {
  if (context.world == nullptr) return;
  WorldOrder stop;
  context.world->pass(stop);
  context.world.reset();
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

namespace {
constexpr const char* no_nccl = "this program was built without NCCL";
}

Reading measure_collective(Context&, const Benchmark&, const Effort&) {
  throw Unsupported(no_nccl);
}

LoadBeside collectives_beside(Context&, std::size_t) {
  throw Unsupported(no_nccl);
}

int join_world(Context&, const Rendezvous&) {
  throw Unsupported(no_nccl);
}

void follow_world(Context&) {}

void leave_world(Context&) {}

std::string nccl_version() {
  return "";
}

#endif

}  // namespace echelon
