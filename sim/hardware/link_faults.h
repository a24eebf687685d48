// A topology some of whose links are down.
#pragma once

#include <string>
#include <vector>

#include "sim/hardware/shared_fabric.h"
#include "sim/hardware/topology.h"

namespace echelon {

// The topology with the links of those faults down that have come about at `now`; links and parts keep their numbers.
// Throws InputError at LinkFault::where for a part that is not there, or two parts that no link joins.
Topology with_faults(Topology topology, const std::vector<LinkFault>& faults, Time now);

// Links that are down, one way each, between what `from` can still reach and what it cannot, as text: "leaf0 - n1.nic0,
// ...". All that are down, where it can reach everything by ways that no route takes.
std::string cut_of(const Topology& topology, VertexId from);

}  // namespace echelon
