#include "sim/app/offload_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace echelon {

double host_sharers(const Scenario& scenario) {
  return static_cast<double>(std::min(scenario.gpus, scenario.profile.network.gpus_per_node));
}

namespace {

std::optional<Infeasible> check_machine(const Offload& offload, const Profile& profile) {
  const Host& host = profile.host;
  const bool steps = offload.optimizer != OffloadTarget::none;
  const bool drives = offload.optimizer == OffloadTarget::nvme || offload.parameters == OffloadTarget::nvme ||
                      offload.outer == OffloadTarget::nvme;
  struct Need {
    bool needed;
    double value;
    const char* key;
  };
  const auto needs = std::to_array<Need>({{offload.any(), host.link.value(), "link_gb_s"},
                                          {offload.any(), host.memory.value(), "memory_gib"},
                                          {steps, host.memory_bandwidth.value(), "memory_bandwidth_gb_s"},
                                          {drives, host.nvme_read.value(), "nvme_read_gb_s"},
                                          {drives, host.nvme_write.value(), "nvme_write_gb_s"}});
  for (const Need& need : needs)
    if (need.needed && need.value <= 0)
      return Infeasible{
          fmt::format("offload needs 'host.{}', which hardware profile {} does not give; a profile "
                      "'{{based_on: {}, host: {{...}}}}' with the machine's own would do",
                      need.key, profile.name, profile.name)};
  return std::nullopt;
}

}  // namespace

std::optional<Infeasible> check_host(const Scenario& scenario) {
  for (std::size_t machine = 0; machine < scenario.machines(); ++machine)
    if (auto refusal = check_machine(scenario.strategy.offload, scenario.machine(machine))) return refusal;
  return std::nullopt;
}

}  // namespace echelon
