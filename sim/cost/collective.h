// (collective, group, network) -> time, as NCCL would run it.
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
// Non-decreasing in bytes by construction.
CollectivePrice collective_time(const Network& network, const CollectiveCall& call);

// One message from a rank to another. `sharers`: ranks of a node that send over its adapters at once.
Seconds point_to_point_time(const Network& network, bool same_node, Bytes bytes, double sharers);

}  // namespace echelon
