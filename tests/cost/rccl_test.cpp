// Collectives on xGMI as RCCL runs them.
#include <algorithm>

#include "sim/cost/collective.h"
#include "tests/catch.h"
#include "tests/cost/eight_by_eight.h"

using namespace echelon;
using testing::eight_by_eight;

TEST_CASE("RCCL sums between all pairs of a node of xGMI, up to 20 MiB") {
  Network network = eight_by_eight();
  network.fabric = Fabric::xgmi_mesh;
  network.mid_size_loss = 0;
  const auto all_reduce = [&](double bytes, std::int64_t ranks = 8) {
    return collective_time(network,
                           {CollectiveKind::all_reduce, {ranks, std::min<std::int64_t>(ranks, 8)}, Bytes(bytes)});
  };
  // LL: 12 us and two steps of 0.8; a ring of four takes six.
  CHECK(all_reduce(8).time.value() == Approx(13.6e-6).epsilon(1e-4));
  CHECK(all_reduce(8).algorithm == CollectiveAlgorithm::direct);
  CHECK(all_reduce(8, 4).time.value() == Approx(16.8e-6).epsilon(1e-4));
  CHECK(all_reduce(8, 16).algorithm != CollectiveAlgorithm::direct);
  // Simple: 17 us and two steps of 2.1, and 7/4 of the vector at the bus bandwidth.
  CHECK(all_reduce(16e6).time.value() == Approx(21.2e-6 + 16e6 * 1.75 / 235e9).epsilon(1e-9));
  CHECK(all_reduce(20971521).algorithm == CollectiveAlgorithm::ring);
  CHECK(all_reduce(20971521).time >= all_reduce(20971520).time);
}

TEST_CASE("between nodes of xGMI RCCL's tables choose, not the time") {
  Network network = eight_by_eight();
  network.fabric = Fabric::xgmi_mesh;
  network.mid_size_loss = 0;
  const auto price = [&](CollectiveKind kind, double bytes, std::int64_t nodes) {
    return collective_time(network, {kind, {8 * nodes, 8}, Bytes(bytes)});
  };
  const auto all_reduce = [&](double bytes, std::int64_t nodes = 2) {
    return price(CollectiveKind::all_reduce, bytes, nodes);
  };
  // LL: 12 us, 2 x 7 steps of 0.9 inside the nodes and two of 10.5 between them.
  CHECK(all_reduce(8).time.value() == Approx(45.6e-6).epsilon(1e-3));
  CHECK(all_reduce(1'048'576).protocol == CollectiveProtocol::ll);
  CHECK(all_reduce(1'048'577).protocol == CollectiveProtocol::ll128);
  CHECK(all_reduce(9'437'184).protocol == CollectiveProtocol::ll128);
  CHECK(all_reduce(9'437'185).protocol == CollectiveProtocol::simple);
  CHECK(all_reduce(9'437'185, 4).protocol == CollectiveProtocol::ll128);  // to 3.8 times as much
  CHECK(all_reduce(35'861'300, 4).protocol == CollectiveProtocol::simple);
  CHECK(all_reduce(268'435'455).algorithm == CollectiveAlgorithm::tree);
  CHECK(all_reduce(268'435'456).algorithm == CollectiveAlgorithm::ring);
  // A tree in LL leaves 0.06 of the adapters' 184 GB/s, a ring 0.08; inside a node NCCL's half of the bandwidth stays.
  const double adapters = 8 * 23e9;
  const auto more = [&](CollectiveKind kind, double bytes) {
    return price(kind, bytes, 2).time.value() - price(kind, bytes / 2, 2).time.value();
  };
  CHECK(more(CollectiveKind::all_reduce, 1e6) == Approx(0.5e6 * 2 * 15 / 16 / (0.06 * adapters)));
  CHECK(more(CollectiveKind::all_gather, 1e6) == Approx(0.5e6 * 15 / 16 / (0.08 * adapters)));
  // By what each of 16 ranks has.
  CHECK(price(CollectiveKind::all_gather, 98'304 * 16, 2).protocol == CollectiveProtocol::ll);
  CHECK(price(CollectiveKind::all_gather, 98'305 * 16, 2).protocol == CollectiveProtocol::ll128);
  CHECK(price(CollectiveKind::reduce_scatter, 3'211'265.0 * 16, 2).protocol == CollectiveProtocol::simple);
  const double gathered = price(CollectiveKind::all_gather, 98'305 * 16, 2).time.value();
  network.forced_algorithm = CollectiveAlgorithm::tree;  // which gathers nothing: RCCL's own choice
  CHECK(price(CollectiveKind::all_gather, 98'305 * 16, 2).time.value() == gathered);
  network.forced_protocol = CollectiveProtocol::simple;
  CHECK(all_reduce(8).protocol == CollectiveProtocol::simple);
}

TEST_CASE("what a network adds to RCCL's steps between nodes is the same in every protocol") {
  const auto time = [](CollectiveProtocol protocol, double scale) {
    Network network = eight_by_eight();
    network.fabric = Fabric::xgmi_mesh;
    network.mid_size_loss = 0;
    network.network_latency_scale = scale;
    network.forced_algorithm = CollectiveAlgorithm::tree;
    network.forced_protocol = protocol;
    return collective_time(network, {CollectiveKind::all_reduce, {16, 8}, Bytes(8)}).time.value();
  };
  // Two steps, each as much longer as four of LL's 10.5 us.
  for (const auto& [protocol, name] : enum_names<CollectiveProtocol>)
    CHECK(time(protocol, 5) - time(protocol, 1) == Approx(2 * 4 * 10.5e-6).epsilon(1e-6));
}
