// Collectives inside layers under the network model `flow`.
//
// Those of an axis whose groups each lie in one scale-up domain stay in the time of their layers, stretched by what all
// groups of the axis, running at once, lose against the analytic model's bandwidth on this topology, and never shrunk.
// Those of an axis with a group that leaves its domain are flows like any other: a rank's share of a collective is one
// flow over all links between nodes that its bytes take, each by its share, for a collective goes as fast as its
// slowest part; it has the rate that the analytic model gives it, or less where links are shared. A task's collectives
// are sent in a few turns between stretches of its compute (LayerTurn); what compute hides of them begins as much
// earlier.
#pragma once

#include <vector>

#include "sim/app/cluster.h"
#include "sim/app/pricing.h"
#include "sim/engine/traffic.h"

namespace echelon {

// By kind of ranks and machine, kind after kind. `ways`: the cluster's topology at that time. Throws InputError where
// what is down leaves two ranks no way.
std::vector<LinksInside> links_inside(const Scenario& scenario, const Lowering& lowering, const Cluster& cluster,
                                      const Topology& ways);

// Adds what the layers of compute tasks send, of prices made with links_inside(). Throws NoWay.
void add_layer_flows(const Scenario& scenario, const Lowering& lowering, const WorkPrices& prices,
                     const Cluster& cluster, const Topology& ways, LinkTraffic& traffic);

}  // namespace echelon
