// (collective, group, network) -> time, as NCCL would run it.
//
// The functional form and the latency constants are those of NCCL's own tuning model (src/graph/tuning.cc, v2.30):
// latency = base + steps inside nodes + steps between nodes, by algorithm and protocol; time = latency + bytes /
// bandwidth; the cheapest pair of algorithm and protocol runs. That model is 20-55 % optimistic at middle sizes, so
//   time = a + b + 2 loss sqrt(a b),   a latency term, b bandwidth term
// with one loss a system, from its nccl-tests logs: it changes neither end and keeps time monotone in bytes. Where a
// system's logs depart from NCCL's constants, the profile says so (Network: shares of protocols, latencies, congestion,
// a floor); `echelon import nccl-tests` fits them.
// PAT, CollNetDirect and CollNetChain are that model's, too; broadcast and reduce between nodes have one of their own
// (rooted.h). Network::forced_algorithm and forced_protocol leave those alone that they name.
// On a mesh of xGMI it is RCCL: its constants (step_latency.h), between nodes the algorithms and protocols that its
// tables name, whatever they cost (rccl_choice.h), and all-reduces of a whole node up to 20 MiB in two steps between
// all pairs, by the MSCCL algorithms that run there by default ("RCCL usage tips" of ROCm 6 and 7.0; later versions
// have none). Bandwidths are achieved ones from the profile. Where the profile has bandwidths measured by number of
// nodes (MeasuredScaling), a call takes its transfer at full bandwidth and waits wherever a ring through its ranks
// enters another node as long as the measured one did, times the share of NCCL's channels that its vector fills. That
// it waits, and is not slower by a factor, two measurements on AWS's EFA say: 16 nodes reach 370 GB/s in an all-reduce
// of 16 GiB (nccl-tests log of p5en) where 256 MiB had 85; they all-reduce 8 bytes in 167 us, and two nodes in 65 to 70
// (aws-samples/aws-do-eks @f721602f7389, aws/aws-k8s-tester pull requests 503 and 585). That it waits where it enters a
// node: seven of eight steps of a ring through whole nodes go over NVLink, whose latency NCCL's constants have, and the
// gathers of jobs whose collectives were not checked (sim/app/host_cost.cpp) waited 118, 104, 90, 88 and 80 us a node
// on 4 to 64 nodes, 215 on 2. So ranks that have a node each wait as long as whole nodes do. Interpolated over the
// logarithm of the nodes; an all-to-all waits as a gather does.
#pragma once

#include "sim/base/enum_names.h"
#include "sim/base/units.h"
#include "sim/hardware/device.h"
#include "sim/hardware/network.h"

namespace echelon {

// `bytes` is the full vector as nccl-tests counts it: for all-gather, reduce-scatter and all-to-all
// the sum over all ranks' parts.
struct CollectiveCall {
  CollectiveKind kind = CollectiveKind::all_reduce;
  GroupShape group;
  Bytes bytes;
};

struct CollectivePrice {
  Seconds time;
  CollectiveAlgorithm algorithm = CollectiveAlgorithm::ring;
  CollectiveProtocol protocol = CollectiveProtocol::simple;
  Ground ground = Ground::datasheet;
};

// The least time over the algorithms and protocols that NCCL could choose. One rank, or no bytes: zero time.
// Non-decreasing in bytes: each candidate is, and so is their minimum.
CollectivePrice collective_time(const Network& network, const CollectiveCall& call);

// What of that time the bytes alone take: as it grows with them where vectors are so long that latency is nothing.
Seconds transfer_part(const Network& network, const CollectiveCall& call);

// Bus over algorithm bandwidth: what a link carries of each byte of the vector (nccl-tests doc/PERFORMANCE.md).
double bus_factor(CollectiveKind kind, double ranks);

// One message from a rank to another. `sharers`: ranks of a node that send over its adapters at once.
Seconds point_to_point_time(const Network& network, bool same_node, Bytes bytes, double sharers);

}  // namespace echelon
