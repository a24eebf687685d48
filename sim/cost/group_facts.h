// What a group of ranks has of a machine's links. Private to the cost room.
#pragma once

#include <cstdint>

#include "sim/base/units.h"
#include "sim/hardware/network.h"

namespace echelon {

struct GroupFacts {
  double ranks = 1;
  double per_node = 1;
  double least_per_node = 1;  // of the node, or domain, that has fewest
  double nodes = 1;
  ByteRate bus;       // bandwidth of a ring through all ranks, over the adapters that rings drive
  ByteRate adapters;  // what the group has of each node's adapters; 0 on one node
};

// Of a group's ranks, as many as share a scale-up domain: on a fabric that joins nodes, that domain; elsewhere a node.
std::int64_t ranks_in_domain(const Network& network, const GroupShape& group);

// Where a fabric joins nodes, the domain counts as the node.
GroupFacts facts_of(const Network& network, const GroupShape& group);

}  // namespace echelon
