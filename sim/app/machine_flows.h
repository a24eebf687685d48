// Collectives as flows, as each machine of a cluster runs them: with its own network's constants, or with those of what
// joins it with other groups.
#pragma once

#include <vector>

#include "sim/app/cluster.h"
#include "sim/app/machines.h"
#include "sim/engine/collective_flows.h"

namespace echelon {

class MachineFlows {
 public:
  // Cluster and ways outlive it.
  MachineFlows(const Scenario& scenario, const Cluster& cluster, const Topology& ways);
  MachineFlows(const MachineFlows&) = delete;
  MachineFlows& operator=(const MachineFlows&) = delete;

  const Network& network(std::int32_t machine, bool bridges) const { return networks_.of(machine, bridges); }
  CollectiveFlows& collectives(std::int32_t machine, bool bridges) {
    return flows_[2 * static_cast<std::size_t>(machine) + (bridges ? 1 : 0)];
  }

 private:
  MachineNetworks networks_;
  std::vector<CollectiveFlows> flows_;  // by machine: its own, and with others; of one machine the first alone
};

}  // namespace echelon
