// The cluster of a scenario as the network model `flow` sees it: a graph, and where the job's ranks sit on it.
#pragma once

#include <vector>

#include "sim/config/scenario.h"
#include "sim/hardware/route.h"
#include "sim/hardware/topology.h"

namespace echelon {

// A change of the cluster during the iteration.
struct LaterWays {
  Time from;
  Topology topology;  // all that is down by then
};

// The cluster of a scenario and where its ranks sit. Links that are down since the job began are down in `topology`:
// rings and trees are laid around them. Those that go down later change routes alone, and the time of collectives
// inside layers that are no flows, which is that of the slowest place in the cluster everywhere.
struct Cluster {
  Topology topology;
  RoutePolicy policy;
  std::vector<VertexId> gpu_of;  // by rank
  std::vector<LaterWays> later;  // by time
};

// Throws InputError where the profile's topology makes no cluster of that size, the placement does not fit, a part that
// is down is none, or another job's nodes are not there or run this one.
Cluster cluster_of(const Scenario& scenario);

// The InputError of a cluster that what is down has cut in two.
[[noreturn]] void refuse_cut(const Scenario& scenario, const Topology& ways, const NoWay& none);

}  // namespace echelon
