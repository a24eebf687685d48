// What NCCL's model says of a collective before it is held against bandwidths measured by number of nodes: the cheapest
// pair of algorithm and protocol, or on nodes of xGMI the one that RCCL's tables name (rccl_choice.h). The formulas and
// their sources stand in collective.h. Private to the cost room.
#pragma once

#include "sim/cost/collective.h"

namespace echelon {

// Two ranks and a byte at least.
CollectivePrice chosen_price(const Network& network, const CollectiveCall& call);

}  // namespace echelon
