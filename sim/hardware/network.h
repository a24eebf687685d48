// Links of a cluster as NCCL sees them, and the constants of its cost model (sim/cost/collective.h).
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

#include "sim/base/collective_kind.h"
#include "sim/base/enum_names.h"
#include "sim/base/units.h"
#include "sim/hardware/curves.h"

namespace echelon {

enum class CollectiveAlgorithm { ring, tree, nvls, nvls_tree, direct, pat, collnet_direct, collnet_chain };

template <>
inline constexpr auto enum_names<CollectiveAlgorithm> = std::to_array<EnumName<CollectiveAlgorithm>>({
    {CollectiveAlgorithm::ring, "ring"},
    {CollectiveAlgorithm::tree, "tree"},
    {CollectiveAlgorithm::nvls, "nvls"},
    {CollectiveAlgorithm::nvls_tree, "nvls_tree"},
    {CollectiveAlgorithm::direct, "direct"},
    {CollectiveAlgorithm::pat, "pat"},
    {CollectiveAlgorithm::collnet_direct, "collnet_direct"},
    {CollectiveAlgorithm::collnet_chain, "collnet_chain"},
});

enum class CollectiveProtocol { ll, ll128, simple };

template <>
inline constexpr auto enum_names<CollectiveProtocol> = std::to_array<EnumName<CollectiveProtocol>>({
    {CollectiveProtocol::ll, "ll"},
    {CollectiveProtocol::ll128, "ll128"},
    {CollectiveProtocol::simple, "simple"},
});

// What joins the GPUs of a node.
enum class Fabric { nvswitch, nvlink_mesh, xgmi_mesh, pcie };

template <>
inline constexpr auto enum_names<Fabric> = std::to_array<EnumName<Fabric>>({
    {Fabric::nvswitch, "nvswitch"},
    {Fabric::nvlink_mesh, "nvlink_mesh"},
    {Fabric::xgmi_mesh, "xgmi_mesh"},
    {Fabric::pcie, "pcie"},
});

// How a communicator lies on the nodes. Groups of one kind run at once on all ranks of a node, so the adapters are
// shared by gpus_per_node / ranks_per_node groups.
struct GroupShape {
  std::int64_t ranks = 1;
  std::int64_t ranks_per_node = 1;  // at most
  std::int64_t least_per_node = 0;  // where nodes have unlike numbers of them; 0 = all have as many
};

// Bus bandwidth that collectives of one size reached on so many whole nodes.
struct ScalingPoint {
  std::int64_t nodes = 2;
  ByteRate all_reduce_bus;
  ByteRate gather_bus;  // all-gather and reduce-scatter
};

// What a fabric that its users share leaves of a collective, measured by number of nodes. Empty: as the model says.
struct MeasuredScaling {
  Bytes bytes;                       // of each measurement, the full vector
  std::vector<ScalingPoint> points;  // nodes ascending
};

// All bandwidths are achieved ones, per direction, 10^9 bytes a second; bus bandwidth as nccl-tests defines it.
struct Network {
  std::int64_t gpus_per_node = 8;
  std::int64_t domain_gpus = 0;  // GPUs that the scale-up fabric joins; 0 = gpus_per_node (72 on NVL72)
  Fabric fabric = Fabric::nvswitch;

  ByteRate ring_bus;        // asymptotic bus bandwidth of rings inside the fabric
  ByteRate pair_bus;        // the same for two ranks; 0 = ring_bus
  ByteRate nvls_bus;        // all-reduce through in-switch reduction; 0 = not there
  ByteRate all_to_all_bus;  // 0 = ring_bus
  ByteRate pair_rate;       // one message between two GPUs of a node
  Seconds pair_latency;
  double step_latency_scale = 1;  // on NCCL's latency constants inside the node

  std::int64_t adapters = 0;         // network adapters of a node; 0 = a single node
  ByteRate adapter_rate;             // of one adapter
  std::int64_t ring_adapters = 0;    // of them, those that the rings of one group drive at most; 0 = all
  Seconds adapter_latency;           // of one message between nodes
  double network_latency_scale = 1;  // on NCCL's network latency constants; on RCCL's of LL, its others gain as much
  MeasuredScaling scaling;

  double mid_size_loss = 0;  // time that latency and bandwidth terms do not overlap; 0..1

  // Where a system departs from NCCL's own constants; the defaults are those (sim/cost/collective.cpp).
  double base_latency_scale = 1;    // on the fixed latency of a call, which changed between versions
  double ll_share = 0.5;            // of the bus bandwidth that the LL protocol leaves
  double ll128_share = 0.92;        // the same of LL128
  double tree_share = 0.92;         // of a ring's bandwidth that trees reach
  double rooted_share = 1;          // of a ring's bandwidth that broadcast and reduce reach
  double rooted_latency_scale = 1;  // on the latency of broadcast and reduce
  // Between nodes these go down one chain (sim/cost/rooted.h); means of what broadcasts on 2 and 4 nodes of ABCI's V100
  // and A100 systems fit (tests/data/nccl/abci_nodes.csv).
  Seconds rooted_slot = microseconds(5.4);           // of one LL message of 4 KiB
  Seconds rooted_ll128_step = microseconds(15.8);    // of a node of the chain, in LL128
  Seconds rooted_simple_step = microseconds(123.6);  // the same in Simple, whose pieces are 512 KiB
  double rooted_ll128_share = 0.37;                  // of the bandwidth of Simple that LL128 reaches there
  double simple_latency_scale = 1;                   // on the step latencies of the Simple protocol
  Seconds nvls_latency = microseconds(25);           // of in-switch reduction
  Seconds call_floor;                                // no call takes less: a host that cannot launch faster
  std::int64_t library_version = 0;                  // NCCL's, as its NCCL_VERSION_CODE: 22304 is 2.23.4; 0 = not known
  bool switch_reduction = false;                     // CollNet is on: network switches reduce (SHARP)
  // As NCCL_ALGO and NCCL_PROTO force them, for collectives that can run so; absent: the fastest.
  std::optional<CollectiveAlgorithm> forced_algorithm;
  std::optional<CollectiveProtocol> forced_protocol;
  double congestion = 0;  // adapters keep (nodes / 2)^-congestion of their rate beyond two nodes; 0..1
  Provenance intra;       // of the numbers inside the node
  Provenance inter;       // of the network's

  // GPUs among which traffic stays on the scale-up fabric.
  std::int64_t scale_up_gpus() const { return domain_gpus > 0 ? domain_gpus : gpus_per_node; }
  // Those of each domain that a job of so many GPUs takes where it needs several domains: whole nodes, as many of each,
  // as schedulers are asked for (Slurm's block topology, --segment): 128 GPUs are 64 in each of two NVL72. What does
  // not divide so goes by the greatest power of two.
  std::int64_t segment_gpus(std::int64_t gpus) const {
    const std::int64_t domain = scale_up_gpus();
    const std::int64_t fewest = (gpus + domain - 1) / domain;
    for (std::int64_t domains = fewest; domains < 2 * fewest; ++domains)
      if (gpus % (domains * gpus_per_node) == 0) return gpus / domains;
    return static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(domain)));
  }
};

}  // namespace echelon
