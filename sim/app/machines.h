// The machines of a scenario's cluster: one type, or groups of several (Scenario::further_groups).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/base/units.h"
#include "sim/config/scenario.h"
#include "sim/engine/replay.h"
#include "sim/hardware/network.h"
#include "strategies/lower.h"

namespace echelon {

// What the lowering needs to know of the cluster.
Placement placement_of(const Scenario& scenario);

// What joins a machine's nodes with those of other groups: its own network, slowed down where the link between the
// groups is slower. Bandwidths measured on a shared fabric shrink with the adapters.
Network bridge_network(const Scenario& scenario, std::size_t machine);

// The networks of a scenario's machines: each one's own, and what joins it with other groups.
class MachineNetworks {
 public:
  explicit MachineNetworks(const Scenario& scenario);

  // `bridges`: of communicators and messages that join several groups.
  const Network& of(std::int32_t machine, bool bridges) const {
    return (bridges ? bridges_ : own_)[static_cast<std::size_t>(machine)];
  }

 private:
  std::vector<Network> own_;
  std::vector<Network> bridges_;
};

// How much slower the compute of every program gets beside collectives: as on the machine that suffers most.
ReplayOptions replay_options(const Scenario& scenario, const Lowering& lowering);

// "dgx-a100-80g + dgx-h100", and the same of their titles.
std::string profile_names(const Scenario& scenario);
std::string profile_titles(const Scenario& scenario);

// Mean over all GPUs of a dense peak, of the thermal design power, of the profiles' price of an hour (0 where
// any is not known).
FlopRate mean_peak(const Scenario& scenario, DataType type);
Watts mean_tdp(const Scenario& scenario);
double mean_price(const Scenario& scenario);

}  // namespace echelon
