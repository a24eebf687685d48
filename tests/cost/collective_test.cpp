#include "sim/cost/collective.h"

#include <cmath>
#include <random>

#include "tests/catch.h"
#include "tests/cost/eight_by_eight.h"

using namespace echelon;
using testing::eight_by_eight;

namespace {

// A system whose logs depart from NCCL's constants in every way that a profile can say.
Network odd_system(std::mt19937_64& random) {
  const auto between = [&](double least, double most) {
    return std::uniform_real_distribution<double>(least, most)(random);
  };
  Network network = eight_by_eight();
  network.nvls_bus = gigabytes_per_second(between(0, 500));
  network.adapter_rate = gigabytes_per_second(between(1, 50));
  network.step_latency_scale = between(0.2, 5);
  network.network_latency_scale = between(0.2, 20);
  network.mid_size_loss = between(0, 1);
  network.base_latency_scale = between(0.2, 5);
  network.ll_share = between(0.05, 1);
  network.ll128_share = between(0.05, 1);
  network.tree_share = between(0.1, 1);
  network.rooted_share = between(0.1, 1);
  network.rooted_latency_scale = between(0.1, 5);
  network.simple_latency_scale = between(0.1, 10);
  network.nvls_latency = microseconds(between(1, 100));
  network.call_floor = microseconds(between(0, 50));
  network.congestion = between(0, 1);
  network.rooted_slot = microseconds(between(0, 20));
  network.rooted_ll128_step = microseconds(between(0, 50));
  network.rooted_simple_step = microseconds(between(0, 500));
  network.rooted_ll128_share = between(0.1, 1);
  network.library_version = random() % 2 == 0 ? 22304 : 21800;
  network.switch_reduction = random() % 2 == 0;
  network.ring_adapters = static_cast<std::int64_t>(random() % 9);
  if (random() % 2 == 0) {
    network.congestion = 0;  // it is in what was measured
    network.scaling.bytes = Bytes(between(1e7, 1e9));
    double all_reduce_bus = between(100, 300);
    double gather_bus = between(100, 300);
    for (const std::int64_t nodes : {2, 4, 16}) {
      network.scaling.points.push_back({nodes, gigabytes_per_second(all_reduce_bus), gigabytes_per_second(gather_bus)});
      all_reduce_bus *= between(0.1, 1);
      gather_bus *= between(0.1, 1);
    }
  }
  const auto& algorithms = enum_names<CollectiveAlgorithm>;
  const auto& protocols = enum_names<CollectiveProtocol>;
  if (random() % 2 == 0) network.forced_algorithm = algorithms[random() % algorithms.size()].value;
  if (random() % 3 == 0) network.forced_protocol = protocols[random() % protocols.size()].value;
  return network;
}

Seconds time_of(const Network& network, CollectiveKind kind, GroupShape group, double bytes) {
  return collective_time(network, {kind, group, Bytes(bytes)}).time;
}

}  // namespace

TEST_CASE("a large ring all-reduce moves 2(n-1)/n of the vector at the bus bandwidth") {
  const Network network = eight_by_eight();
  const double bytes = 1e12;  // latency is nothing beside 7 seconds
  CHECK(time_of(network, CollectiveKind::all_reduce, {8, 8}, bytes).value() ==
        Approx(bytes * 2 * 7 / 8 / 235e9).epsilon(0.02));
  // 16 ranks on two nodes share 8 adapters of 23 GB/s: 184 GB/s.
  CHECK(time_of(network, CollectiveKind::all_gather, {16, 8}, bytes).value() ==
        Approx(bytes * 15 / 16 / 184e9).epsilon(0.02));
  // One rank a node has one adapter of eight: 23 GB/s.
  CHECK(time_of(network, CollectiveKind::reduce_scatter, {4, 1}, bytes).value() ==
        Approx(bytes * 3 / 4 / 23e9).epsilon(0.02));
}

// An all-reduce that runs as a reduce-scatter does: wherever the library likes inside a node and where the network's
// switches add up, elsewhere on rings. NCCL has no tree for reduce-scatters (tuning.cc), so that over many nodes a
// small all-reduce is cheaper.
Network where_scatters_run_as_sums(Network network, const GroupShape& group) {
  const bool trees = group.ranks > group.ranks_per_node && !network.switch_reduction;
  if (trees) network.forced_algorithm = CollectiveAlgorithm::ring;
  return network;
}

TEST_CASE("time never falls with size, and a reduce-scatter is never dearer than the like all-reduce") {
  std::mt19937_64 random(3);
  for (int round = 0; round < 400; ++round) {
    const Network network = round < 200 ? eight_by_eight() : odd_system(random);
    const std::int64_t per_node = std::int64_t{1} << (random() % 4);
    const GroupShape group{per_node * (1 + static_cast<std::int64_t>(random() % 16)), per_node};
    if (group.ranks < 2) continue;
    for (const auto& kind : enum_names<CollectiveKind>) {
      Seconds before;
      for (double bytes = 8; bytes < 1e11; bytes *= 1.7) {
        const Seconds now = time_of(network, kind.value, group, bytes);
        CHECK(now >= before);
        CHECK(now > Seconds(0));
        before = now;
        // Where they were measured, gathers may have waited longer: on 32 nodes of AWS p5 they did.
        if (kind.value == CollectiveKind::reduce_scatter && !network.forced_algorithm && !network.forced_protocol &&
            network.scaling.points.empty())
          CHECK(now <= time_of(where_scatters_run_as_sums(network, group), CollectiveKind::all_reduce, group, bytes));
      }
    }
  }
}

TEST_CASE("the same nodes and more of them are never cheaper") {
  std::mt19937_64 random(5);
  for (int round = 0; round < 200; ++round) {
    Network network = round < 20 ? eight_by_eight() : odd_system(random);
    // What is forced may do more of a few nodes than of one, where it is passed over; so may switches that reduce,
    // which one node has none of.
    network.switch_reduction = false;
    network.forced_algorithm.reset();
    network.forced_protocol.reset();
    const std::int64_t per_node = std::int64_t{1} << (random() % 4);
    const double bytes = std::exp2(static_cast<double>(random() % 34));
    for (const auto& kind : enum_names<CollectiveKind>) {
      // A longer chain takes LL128 where a shorter one takes Simple: 16 MiB take 3.7 ms on 16 nodes of ABCI's V100s and
      // 2.5 ms on 32.
      if (kind.value == CollectiveKind::broadcast || kind.value == CollectiveKind::reduce) continue;
      Seconds before;
      for (std::int64_t nodes = per_node > 1 ? 1 : 2; nodes <= 512; nodes *= 2) {
        const Seconds now = time_of(network, kind.value, {nodes * per_node, per_node}, bytes);
        CAPTURE(kind.name, nodes, per_node, bytes);
        CHECK(now.value() >= before.value() * (1 - 1e-12));
        before = now;
      }
    }
  }
}

TEST_CASE("every call has a fixed cost") {
  Network network = eight_by_eight();
  // NCCL's LL base is 6.6 us and no step is free.
  for (const auto& kind : enum_names<CollectiveKind>)
    if (kind.value != CollectiveKind::send_receive) CHECK(time_of(network, kind.value, {8, 8}, 1) > microseconds(6.6));
  CHECK(time_of(network, CollectiveKind::send_receive, {8, 8}, 1) > microseconds(2.9));
  CHECK(time_of(network, CollectiveKind::send_receive, {16, 8}, 1) > microseconds(9.9));
  network.call_floor = microseconds(34);  // a host that launches no faster
  for (const auto& kind : enum_names<CollectiveKind>)
    CHECK(time_of(network, kind.value, {8, 8}, 1) == microseconds(34));
}

TEST_CASE("a broadcast costs a step whatever the nodes, and moves the vector once") {
  const Network network = eight_by_eight();
  CHECK(time_of(network, CollectiveKind::broadcast, {16, 8}, 8).value() ==
        Approx(time_of(network, CollectiveKind::broadcast, {128, 8}, 8).value()));
  const double bytes = 1e12;
  CHECK(time_of(network, CollectiveKind::reduce, {8, 8}, bytes).value() == Approx(bytes / 235e9).epsilon(0.02));
}

TEST_CASE("between nodes a broadcast waits for its chain") {
  Network network = eight_by_eight();
  network.rooted_slot = microseconds(5);
  network.rooted_ll128_step = microseconds(10);
  network.rooted_simple_step = microseconds(100);
  network.rooted_ll128_share = 0.5;
  const auto broadcast = [&](std::int64_t nodes, double bytes) {
    return time_of(network, CollectiveKind::broadcast, {8 * nodes, 8}, bytes).value() * 1e6;
  };
  // A call takes 6.6 + 2.7 us (NCCL's LL base and network step). 8 KiB are two messages; 16 KiB and more ranks / 8 of
  // them: 2 on 2 nodes, 4 on 4.
  const double call = 6.6 + 2.7;
  CHECK(broadcast(2, 8192) == Approx(call + 2 * 5));
  CHECK(broadcast(2, 65536) == Approx(call + 2 * 5));
  CHECK(broadcast(4, 8192) == Approx(call + 2 * 5));
  CHECK(broadcast(4, 131072) == Approx(call + 4 * 5));
  // LL128 above 4096 B a rank: ten a node, and half of 8 x 23 GB/s.
  CHECK(broadcast(4, 262144) == Approx(call + 4 * 10 + 262144 / 92e3));
  // Simple above 128 KiB a rank.
  CHECK(broadcast(4, 16 * 1048576.0) == Approx(call + 4 * 100 + 16 * 1048576 / 184e3));
  network.forced_protocol = CollectiveProtocol::simple;
  CHECK(broadcast(4, 4096) == Approx(call + 4 * 100 + 4096 / 184e3));
}

TEST_CASE("PAT gathers in a logarithm of steps, from NCCL 2.23 on where a node has one rank") {
  Network network = eight_by_eight();
  network.mid_size_loss = 0;
  const auto gather = [&](GroupShape group, double bytes) {
    return collective_time(network, {CollectiveKind::all_gather, group, Bytes(bytes)});
  };
  network.library_version = 22200;
  CHECK(gather({64, 1}, 1024).algorithm != CollectiveAlgorithm::pat);
  network.library_version = 22304;
  // Base 8, 6 steps of 14 / 3.5, 2.8 for each of 64 ranks; a rank's share of the adapters is 23 GB/s, three quarters of
  // it for PAT (NCCL tuning.cc). A ring takes 6.6 and 63 steps of 2.7 in LL.
  CHECK(gather({64, 1}, 1024).algorithm != CollectiveAlgorithm::pat);  // 176.7 us against 211.2
  network.forced_algorithm = CollectiveAlgorithm::pat;
  CHECK(gather({64, 1}, 1e6).algorithm == CollectiveAlgorithm::pat);
  CHECK(gather({64, 1}, 1e6).time.value() * 1e6 == Approx(8 + 6 * 4 + 2.8 * 64 + 1e6 * 63 / 64 / (0.75 * 23e3)));
  // What PAT cannot do goes on as before.
  CHECK(collective_time(network, {CollectiveKind::all_reduce, {64, 1}, Bytes(1e6)}).algorithm !=
        CollectiveAlgorithm::pat);
  CHECK(gather({8, 8}, 1e6).algorithm == CollectiveAlgorithm::ring);
  // At sizes where rings take Simple, whose steps between nodes are 1.4 x 14 us, PAT is the faster.
  network.forced_algorithm.reset();
  CHECK(gather({64, 1}, 4e6).algorithm == CollectiveAlgorithm::pat);
  CHECK(gather({64, 1}, 1e10).algorithm == CollectiveAlgorithm::ring);
  CHECK(gather({64, 8}, 4e6).algorithm != CollectiveAlgorithm::pat);
}

TEST_CASE("switches that reduce spare adapters half of an all-reduce") {
  Network network = eight_by_eight();
  network.mid_size_loss = 0;
  const auto all_reduce = [&](double bytes) {
    return collective_time(network, {CollectiveKind::all_reduce, {64, 8}, Bytes(bytes)});
  };
  CHECK(all_reduce(1e10).algorithm == CollectiveAlgorithm::ring);
  const Seconds ring = all_reduce(1e12).time;
  network.switch_reduction = true;
  // Adapters carry the vector once each way instead of 2 (n - 1) / n times: 184 GB/s. The fabric's 235 GB/s of bus
  // bandwidth take longer: 2 x 63 / 64 of the vector.
  CHECK(all_reduce(1e12).time.value() == Approx(1e12 * 2 * 63 / 64 / 235e9).epsilon(1e-3));
  CHECK(ring.value() == Approx(1e12 * 2 * 63 / 64 / 184e9).epsilon(1e-3));
  // Direct: twice (3.7 + 7 x 0.4) inside and 31 between nodes; a chain 14 x 2.8 and 30.
  network.forced_algorithm = CollectiveAlgorithm::collnet_direct;
  CHECK(all_reduce(8).time.value() * 1e6 == Approx(2 * (3.7 + 2.8) + 31).epsilon(1e-3));
  network.forced_algorithm = CollectiveAlgorithm::collnet_chain;
  CHECK(all_reduce(8).time.value() * 1e6 == Approx(14 * 2.8 + 30).epsilon(1e-3));
  CHECK(all_reduce(8).algorithm == CollectiveAlgorithm::collnet_chain);
}

TEST_CASE("a pair on two nodes is not priced as NVLink, and nothing costs nothing") {
  const Network network = eight_by_eight();
  CHECK(time_of(network, CollectiveKind::all_reduce, {2, 1}, 1e9) >
        5 * time_of(network, CollectiveKind::all_reduce, {2, 2}, 1e9));
  CHECK(time_of(network, CollectiveKind::all_reduce, {1, 1}, 1e9) == Seconds(0));
  CHECK(time_of(network, CollectiveKind::all_reduce, {8, 8}, 0) == Seconds(0));
  CHECK(point_to_point_time(network, false, Bytes(1e6), 8) > point_to_point_time(network, true, Bytes(1e6), 8));
}

TEST_CASE("where bandwidths were measured by number of nodes, prices pass through them") {
  Network network = eight_by_eight();
  const double bytes = 256.0 * 1024 * 1024;
  network.scaling = {Bytes(bytes),
                     {{2, gigabytes_per_second(150), gigabytes_per_second(100)},
                      {8, gigabytes_per_second(50), gigabytes_per_second(40)}}};
  const auto gather = [&](std::int64_t nodes, double size) {
    return time_of(network, CollectiveKind::all_gather, {8 * nodes, 8}, size).value();
  };
  CHECK(gather(2, bytes) == Approx(bytes * 15 / 16 / 100e9));
  CHECK(gather(8, bytes) == Approx(bytes * 63 / 64 / 40e9));
  CHECK(time_of(network, CollectiveKind::all_reduce, {64, 8}, bytes).value() == Approx(bytes * 2 * 63 / 64 / 50e9));
  CHECK(gather(4, bytes) > gather(2, bytes));
  CHECK(gather(4, bytes) < gather(8, bytes));
  // Beyond the last measurement each node waits as in it: twice the 8 nodes' waits.
  const double waits_of_8 = bytes * 63 / 64 * (1 / 40e9 - 1 / (8 * 23e9));
  CHECK(gather(16, 1e10) == Approx(2 * waits_of_8 + 1e10 * 127 / 128 / (8 * 23e9)).epsilon(0.01));
  CHECK(time_of(network, CollectiveKind::all_gather, {8, 8}, bytes) ==
        time_of(eight_by_eight(), CollectiveKind::all_gather, {8, 8}, bytes));  // inside a node nothing changes
  // What a gather lacks is waiting, whatever its size: between two large sizes lies bandwidth alone, here the 8
  // adapters' of eight_by_eight().
  network.mid_size_loss = 0;
  const double adapters = 8 * 23e9;
  CHECK(gather(2, 2 * bytes) - gather(2, bytes) == Approx(bytes * 15 / 16 / adapters));
  const double waits = bytes * 15 / 16 * (1 / 100e9 - 1 / adapters);
  CHECK(gather(2, 1e6) == Approx(waits + 1e6 * 15 / 16 / adapters));
  // A quarter of the 512 KiB that fill NCCL's channels waits a quarter as long, and next to nothing not at all.
  CHECK(gather(2, 131072) == Approx(waits / 4 + 131072. * 15 / 16 / adapters));
  CHECK(gather(2, 8) < 1.01 * time_of(eight_by_eight(), CollectiveKind::all_gather, {16, 8}, 8).value());
  // The all-reduce of one GPU a node enters as many nodes.
  const auto all_reduce = [&](GroupShape group, double size) {
    return time_of(network, CollectiveKind::all_reduce, group, size).value();
  };
  const double whole_waits = bytes * 2 * 63 / 64 * (1 / 50e9 - 1 / adapters);
  CHECK(all_reduce({64, 8}, 1e10) == Approx(whole_waits + 1e10 * 2 * 63 / 64 / adapters));
  CHECK(all_reduce({8, 1}, 1e10) == Approx(whole_waits + 1e10 * 2 * 7 / 8 / (adapters / 8)));
}

TEST_CASE(
    "the rings of one group drive as many adapters as the profile says, those of groups side by side share them") {
  Network network = eight_by_eight();
  network.adapters = 4;
  network.ring_adapters = 1;
  const auto bus = [&](std::int64_t per_node) {
    const GroupShape group{4 * per_node, per_node};
    const auto ranks = static_cast<double>(group.ranks);
    return 1e12 * 2 * (ranks - 1) / ranks / time_of(network, CollectiveKind::all_reduce, group, 1e12).value();
  };
  CHECK(bus(8) == Approx(23e9).epsilon(0.01));
  CHECK(bus(2) == Approx(23e9).epsilon(0.01));
  CHECK(bus(1) == Approx(23e9 / 2).epsilon(0.01));
  // An all-to-all is no ring: each of 8 ranks a node has half an adapter for the 24 of 32 parts that leave it.
  CHECK(time_of(network, CollectiveKind::all_to_all, {32, 8}, 1e12).value() ==
        Approx(1e12 * 24 / 32 / (23e9 / 2)).epsilon(0.01));
  network.ring_adapters = 0;
  CHECK(bus(8) == Approx(4 * 23e9).epsilon(0.01));
}

TEST_CASE("an algorithm that cannot do a collective is passed over, and the protocol beside it holds") {
  Network network = eight_by_eight();
  network.forced_algorithm = CollectiveAlgorithm::tree;
  network.forced_protocol = CollectiveProtocol::ll;
  for (const CollectiveKind kind : {CollectiveKind::all_gather, CollectiveKind::broadcast}) {
    const CollectivePrice price = collective_time(network, {kind, {16, 8}, Bytes(1e8)});
    CHECK(price.algorithm == CollectiveAlgorithm::ring);
    CHECK(price.protocol == CollectiveProtocol::ll);
  }
  network.forced_algorithm = CollectiveAlgorithm::nvls;  // runs in Simple alone
  CHECK(collective_time(network, {CollectiveKind::all_reduce, {16, 8}, Bytes(1e8)}).protocol == CollectiveProtocol::ll);
}

TEST_CASE("what was measured ran as the library chose, whatever is forced now") {
  Network network = eight_by_eight();
  const Bytes bytes(256.0 * 1024 * 1024);
  network.scaling = {bytes, {{2, gigabytes_per_second(50), gigabytes_per_second(40)}}};
  Network forced = network;
  forced.forced_algorithm = CollectiveAlgorithm::tree;
  forced.forced_protocol = CollectiveProtocol::ll;
  const auto time = [](const Network& on, CollectiveKind kind) {
    return collective_time(on, {kind, {16, 8}, Bytes(1e6)}).time;
  };
  CHECK(time(forced, CollectiveKind::all_to_all) == time(network, CollectiveKind::all_to_all));
  CHECK(time(forced, CollectiveKind::send_receive) == time(network, CollectiveKind::send_receive));
  CHECK(time(forced, CollectiveKind::all_reduce) >= time(network, CollectiveKind::all_reduce));
}
