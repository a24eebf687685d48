// The network model `flow`: a lowered strategy's collectives and messages on a cluster's links.
//
// Data-parallel collectives and messages between stages run as flows of all the ranks that a program stands for, so
// that what runs at once shares links (sim/engine/traffic.h). What is not bytes on links - NCCL's latencies, the part
// of them that transfers do not hide - stays as the analytic model has it, in front of the flows, and where bandwidths
// were measured by number of nodes, so much more bytes move as were lost there. Collectives inside layers are flows of
// their own kind (inside_layers.h).
#pragma once

#include "sim/app/cluster.h"
#include "sim/app/pricing.h"
#include "sim/config/scenario.h"
#include "sim/engine/traffic.h"
#include "strategies/lower.h"

namespace echelon {

// What the model `flow` keeps for the replays of a scenario.
struct NetworkReplay {
  Cluster cluster;
  LinkTraffic traffic;
};

// `prices` with links_inside() of that cluster. Tasks that keep their fixed times: compute, collectives of one rank,
// and those of schedules that hold two copies of the model, whose groups join ranks of several stages. Throws
// InputError where what is down leaves two ranks no way.
LinkTraffic link_traffic(const Scenario& scenario, const Lowering& lowering, const WorkPrices& prices,
                         const Cluster& cluster);

// How much longer long vectors take than the links say, where that was measured over whole nodes: what other users of
// the fabric, its routing and its protocols take, which the topology does not show. 1 or more.
double measured_loss(const Network& network, CollectiveKind kind, const GroupLayout& layout);

}  // namespace echelon
