#include "sim/cost/offload_cost.h"

#include "tests/catch.h"

using namespace echelon;

namespace {

// 25 GB/s a GPU, 400 GB/s of memory, drives that read 20 and write 10 GB/s for the whole node.
Host node() {
  Host host;
  host.link = gigabytes_per_second(25);
  host.memory_bandwidth = gigabytes_per_second(400);
  host.nvme_read = gigabytes_per_second(20);
  host.nvme_write = gigabytes_per_second(10);
  return host;
}

double copy(double sharers, CopyDirection direction, OffloadTarget target) {
  return host_copy_time(node(), sharers, {Bytes(50e9), direction, target}).value();
}

}  // namespace

TEST_CASE("a copy takes its bytes over the slower of the link and the GPU's share of the drives") {
  CHECK(copy(8, CopyDirection::to_host, OffloadTarget::host) == Approx(50.0 / 25));  // each GPU has a link of its own
  CHECK(copy(8, CopyDirection::to_host, OffloadTarget::nvme) == Approx(50.0 / (10.0 / 8)));
  CHECK(copy(8, CopyDirection::from_host, OffloadTarget::nvme) == Approx(50.0 / (20.0 / 8)));
  Host fast = node();
  fast.nvme_read = gigabytes_per_second(1000);
  const HostCopy read{Bytes(50e9), CopyDirection::from_host, OffloadTarget::nvme};
  CHECK(host_copy_time(fast, 8, read).value() == Approx(50.0 / 25));
  CHECK(host_copy_time(Host{}, 1, HostCopy{}) == Seconds(0));
}

TEST_CASE("the step on the host moves its bytes through the GPU's share of host memory") {
  // 1e9 elements of 30 bytes: 30 GB over 400 / 8.
  const OptimizerWork in_memory{1e9, Bytes(30), OffloadTarget::host, Bytes(12)};
  CHECK(host_step_time(node(), 8, in_memory).value() == Approx(30.0 / 50));
  CHECK(host_step_time(node(), 1, in_memory).value() == Approx(30.0 / 400));
  // From drives: 12 GB are read at 20 / 8 and written at 10 / 8 while the host works.
  const OptimizerWork on_drives{1e9, Bytes(30), OffloadTarget::nvme, Bytes(12)};
  CHECK(host_step_time(node(), 8, on_drives).value() == Approx(12 / 2.5 + 12 / 1.25));
}
