// What a group of ranks has of a machine's links. Private to the cost room.
#pragma once

#include "sim/base/units.h"
#include "sim/hardware/network.h"

namespace echelon {

struct GroupFacts {
  double ranks = 1;
  double per_node = 1;
  double nodes = 1;
  ByteRate bus;       // bandwidth of a ring through all ranks
  ByteRate adapters;  // what the group has of each node's adapters; 0 on one node
};

// On a fabric that joins nodes, the domain is the node.
GroupFacts facts_of(const Network& network, const GroupShape& group);

}  // namespace echelon
