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

// The cluster of a scenario and where its ranks sit.
struct Cluster {
  Topology topology;
  RoutePolicy policy;
  std::vector<VertexId> gpu_of;  // by rank
};

// Throws InputError where the profile's topology makes no cluster of that size or the placement does not fit.
Cluster cluster_of(const Scenario& scenario);

// Of stages that are all alike. Tasks that keep their fixed times: compute, collectives of one rank, and those of
// schedules that hold two copies of the model, whose groups join ranks of several stages.
LinkTraffic link_traffic(const Scenario& scenario, const Lowering& lowering, const Cluster& cluster);

// By Axis, 1 or more: the longest that a collective of the axis takes on the cluster over what the analytic model says,
// for vectors so long that latency does not count.
std::array<double, 5> axis_stretch(const Scenario& scenario, const Lowering& lowering, const Cluster& cluster);

}  // namespace echelon
