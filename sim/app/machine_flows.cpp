#include "sim/app/machine_flows.h"

namespace echelon {

MachineFlows::MachineFlows(const Scenario& scenario, const Cluster& cluster, const Topology& ways)
    : networks_(scenario) {
  const auto machines = static_cast<std::int32_t>(scenario.machines());
  for (std::int32_t machine = 0; machine < machines; ++machine)
    for (const bool bridges : {false, true})
      if (!bridges || machines > 1)
        flows_.emplace_back(cluster.topology, cluster.policy, networks_.of(machine, bridges), &ways);
}

}  // namespace echelon
