// The network model `flow`: a lowered strategy's collectives and messages on a cluster's links.
//
// Data-parallel collectives and messages between stages run as flows of all the ranks that a program stands for, so
// that what runs at once shares links (sim/engine/traffic.h). What is not bytes on links - NCCL's latencies, the part
// of them that transfers do not hide - stays as the analytic model has it, in front of the flows, and where bandwidths
// were measured by number of nodes, so much more bytes move as were lost there. Collectives inside layers are flows of
// their own kind (inside_layers.h).
#pragma once

#include <vector>

#include "sim/config/scenario.h"
#include "sim/cost/work_cost.h"
#include "sim/engine/traffic.h"
#include "sim/hardware/route.h"
#include "sim/hardware/topology.h"
#include "strategies/lower.h"

namespace echelon {

// Links that are down since the job began are down in `topology`: rings and trees are laid around them. Those that go
// down later change routes alone, and the time of collectives inside layers that are no flows, which is that of the
// slowest place in the cluster everywhere.

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

// Of stages that are all alike; `prices` by work. Tasks that keep their fixed times: compute, collectives of one rank,
// and those of schedules that hold two copies of the model, whose groups join ranks of several stages. Throws
// InputError where what is down leaves two ranks no way.
LinkTraffic link_traffic(const Scenario& scenario, const Lowering& lowering, const std::vector<Price>& prices,
                         const Cluster& cluster);

// How much longer long vectors take than the links say, where that was measured over whole nodes: what other users of
// the fabric, its routing and its protocols take, which the topology does not show. 1 or more.
double measured_loss(const Network& network, CollectiveKind kind, const GroupLayout& layout);

// The InputError of a cluster that what is down has cut in two.
[[noreturn]] void refuse_cut(const Scenario& scenario, const Topology& ways, const NoWay& none);

}  // namespace echelon
