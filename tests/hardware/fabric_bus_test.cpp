#include "sim/hardware/fabric_bus.h"

#include "tests/catch.h"

using namespace echelon;

namespace {

Network node_of(Fabric fabric, double all, double pair) {
  Network network;
  network.fabric = fabric;
  network.gpus_per_node = 8;
  network.ring_bus = gigabytes_per_second(all);
  network.pair_bus = gigabytes_per_second(pair);
  return network;
}

double ring(const Network& network, double members) {
  return ring_bus_of(network, members).value() / 1e9;
}

}  // namespace

TEST_CASE("GPUs of a mesh share no more links than they have to each other") {
  const Network mesh = node_of(Fabric::xgmi_mesh, 315, 48);
  for (const double members : {2, 3, 4, 5, 6, 7, 8}) {
    CHECK(ring(mesh, members) <= (members - 1) * 48 + 1e-6);
    CHECK(all_to_all_bus_of(mesh, members).value() <= (members - 1) * 48e9 + 1);
  }
  CHECK(ring(mesh, 8) == Approx(315));
}

TEST_CASE("a switch gives as much to some GPUs as to all") {
  const Network network = node_of(Fabric::nvswitch, 360, 318);
  CHECK(ring(network, 2) == Approx(318));
  for (const double members : {3, 4, 7, 8}) CHECK(ring(network, members) == Approx(360));
}

// ai-dynamo/aiconfigurator @095f58a51c4c, nccl-tests on eight L40S: 20.1, 5.9 and 2.1 GB/s.
TEST_CASE("four L40S reach what was measured between a pair and all eight") {
  const Network network = node_of(Fabric::pcie, 2.1, 20.1);
  CHECK(ring(network, 4) == Approx(5.9).epsilon(0.15));
  for (const double members : {2, 3, 4, 5, 6, 7}) CHECK(ring(network, members) > ring(network, members + 1));
}

// stas00/ml-engineering network/README.md @744d01e18b79, 8 GiB all-reduces of 5 to 8 H200 with NVLS.
TEST_CASE("an all-reduce in the switch grows with the GPUs that are its heads") {
  Network network = node_of(Fabric::nvswitch, 366, 315);
  network.nvls_bus = gigabytes_per_second(473);
  const double measured[] = {414, 436, 460, 473};
  for (int members = 5; members <= 8; ++members)
    CHECK(nvls_bus_of(network, members).value() / 1e9 == Approx(measured[members - 5]).epsilon(0.05));
}

// Slurm's block topology, --segment: equal parts of the fewest racks that they fill with whole nodes.
TEST_CASE("a job takes as many GPUs of each rack of 72") {
  Network racks;
  racks.gpus_per_node = 4;
  racks.domain_gpus = 72;
  CHECK(racks.segment_gpus(128) == 64);   // 2 racks
  CHECK(racks.segment_gpus(144) == 72);   // 2
  CHECK(racks.segment_gpus(512) == 64);   // 8
  CHECK(racks.segment_gpus(520) == 52);   // 10: 8 and 9 leave parts of nodes
  CHECK(racks.segment_gpus(1024) == 64);  // 16
}
