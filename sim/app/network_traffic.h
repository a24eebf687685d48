// The network model `flow`: a lowered strategy's collectives and messages on a cluster's links.
//
// Data-parallel collectives and messages between stages run as flows of all the ranks that a program stands for, so
// that what runs at once shares links (sim/engine/traffic.h). What is not bytes on links - NCCL's latencies, the part
// of them that transfers do not hide - stays as the analytic model has it, in front of the flows, and where bandwidths
// were measured by number of nodes, so much more bytes move as were lost there. Collectives inside layers are part of a
// layer's time: they are stretched by what all groups of their axis, running at once, lose against the analytic model's
// bandwidth on this topology with this placement, and never shrunk.
#pragma once

#include <array>

#include "sim/config/scenario.h"
#include "sim/engine/traffic.h"
#include "sim/hardware/route.h"
#include "sim/hardware/topology.h"
#include "strategies/lower.h"

namespace echelon {

// Links that are down since the job began are down in `topology`: rings and trees are laid around them. Those that go
// down later change routes alone, and the time of collectives inside layers, which is that of the slowest place in the
// cluster everywhere. What other jobs send (Scenario::background) shares links with all but the collectives inside
// layers.

// A change of the cluster during the iteration.
struct LaterWays {
  Time from;
  Topology topology;  // all that is down by then
};

// The cluster of a scenario and where its ranks sit.
struct Cluster {
  Topology topology;
  RoutePolicy policy;
  std::vector<VertexId> gpu_of;  // by rank
  std::vector<LaterWays> later;  // by time
};

// What the model `flow` keeps for the replays of a scenario.
struct NetworkReplay {
  Cluster cluster;
  LinkTraffic traffic;
};

// Throws InputError where the profile's topology makes no cluster of that size, the placement does not fit, a part that
// is down is none, or another job's nodes are not there or run this one.
Cluster cluster_of(const Scenario& scenario);

// Of stages that are all alike. Tasks that keep their fixed times: compute, collectives of one rank, and those of
// schedules that hold two copies of the model, whose groups join ranks of several stages. Throws InputError where what
// is down leaves two ranks no way.
LinkTraffic link_traffic(const Scenario& scenario, const Lowering& lowering, const Cluster& cluster);

// By Axis, 1 or more: the longest that a collective of the axis takes on the cluster over what the analytic model says,
// for vectors so long that latency does not count. `ways`: the cluster's topology at that time.
std::array<double, 5> axis_stretch(const Scenario& scenario, const Lowering& lowering, const Cluster& cluster,
                                   const Topology& ways);

}  // namespace echelon
