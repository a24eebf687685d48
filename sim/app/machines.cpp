#include "sim/app/machines.h"

#include <algorithm>

namespace echelon {

namespace {

template <class Of>
std::string joined(const Scenario& scenario, const Of& of) {
  std::string text;
  for (std::size_t i = 0; i < scenario.machines(); ++i) text += (i > 0 ? " + " : "") + of(scenario.machine(i));
  return text;
}

// The machine's own value where there is one machine, without a rounding.
template <class Of>
auto mean_of(const Scenario& scenario, const Of& of) {
  auto sum = of(scenario.machine(0));
  if (scenario.machines() == 1) return sum;
  sum *= static_cast<double>(scenario.machine_gpus(0));
  for (std::size_t i = 1; i < scenario.machines(); ++i)
    sum += of(scenario.machine(i)) * static_cast<double>(scenario.machine_gpus(i));
  return sum * (1 / static_cast<double>(scenario.gpus));
}

}  // namespace

Placement placement_of(const Scenario& scenario) {
  Placement placement{scenario.gpus, scenario.profile.network.gpus_per_node, {}};
  if (scenario.machines() > 1)
    for (std::size_t i = 0; i < scenario.machines(); ++i) placement.groups.push_back(scenario.machine_gpus(i));
  return placement;
}

Network bridge_network(const Scenario& scenario, std::size_t machine) {
  Network network = scenario.machine(machine).network;
  network.adapter_latency = std::max(network.adapter_latency, scenario.link.latency);
  if (scenario.link.node_rate <= ByteRate(0)) return network;
  const double share = scenario.link.node_rate / (network.adapter_rate * static_cast<double>(network.adapters));
  if (share >= 1) return network;
  network.adapter_rate *= share;
  for (ScalingPoint& point : network.scaling.points) {
    point.all_reduce_bus *= share;
    point.gather_bus *= share;
  }
  return network;
}

MachineNetworks::MachineNetworks(const Scenario& scenario) {
  for (std::size_t machine = 0; machine < scenario.machines(); ++machine) {
    own_.push_back(scenario.machine(machine).network);
    bridges_.push_back(bridge_network(scenario, machine));
  }
}

ReplayOptions replay_options(const Scenario& scenario, const Lowering& lowering) {
  ReplayOptions options{scenario.profile.device.overlap_slowdown, nullptr, {}};
  if (scenario.machines() == 1) return options;
  std::vector<double>& slowdowns = options.overlap_slowdowns;
  for (const std::int32_t kind : lowering.kind_of) {
    slowdowns.push_back(1);
    for (const std::int32_t machine : lowering.kinds[static_cast<std::size_t>(kind)].machines)
      slowdowns.back() =
          std::max(slowdowns.back(), scenario.machine(static_cast<std::size_t>(machine)).device.overlap_slowdown);
  }
  return options;
}

std::string profile_names(const Scenario& scenario) {
  return joined(scenario, [](const Profile& profile) { return profile.name; });
}

std::string profile_titles(const Scenario& scenario) {
  return joined(scenario, [](const Profile& profile) { return profile.title; });
}

FlopRate mean_peak(const Scenario& scenario, DataType type) {
  return mean_of(scenario, [type](const Profile& profile) { return profile.device.peak_of(type); });
}

Watts mean_tdp(const Scenario& scenario) {
  return mean_of(scenario, [](const Profile& profile) { return profile.device.tdp; });
}

double mean_price(const Scenario& scenario) {
  for (std::size_t i = 0; i < scenario.machines(); ++i)
    if (scenario.machine(i).price_usd_per_gpu_hour <= 0) return 0;
  return mean_of(scenario, [](const Profile& profile) { return profile.price_usd_per_gpu_hour; });
}

}  // namespace echelon
