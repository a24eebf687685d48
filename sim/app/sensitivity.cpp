#include "sim/app/sensitivity.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "sim/app/simulate.h"

namespace echelon {

namespace {

constexpr double step = 1.02;  // of the difference quotient
constexpr double less = 0.8;
constexpr double more = 1.25;

void scale_peak(Profile& profile, double factor) {
  for (FlopRate& peak : profile.device.peak) peak *= factor;
}

void scale_memory_bandwidth(Profile& profile, double factor) {
  profile.device.memory_bandwidth *= factor;
}

void scale_memory(Profile& profile, double factor) {
  profile.device.memory *= factor;
}

void scale_links(Profile& profile, double factor) {
  Network& network = profile.network;
  for (ByteRate* rate :
       {&network.ring_bus, &network.pair_bus, &network.nvls_bus, &network.all_to_all_bus, &network.pair_rate})
    *rate *= factor;
}

// What a shared fabric leaves of the adapters was measured as a rate: it grows with them.
void scale_adapters(Profile& profile, double factor) {
  profile.network.adapter_rate *= factor;
  for (ScalingPoint& point : profile.network.scaling.points) {
    point.all_reduce_bus *= factor;
    point.gather_bus *= factor;
  }
}

void scale_link_latency(Profile& profile, double factor) {
  Network& network = profile.network;
  for (double* scale : {&network.step_latency_scale, &network.base_latency_scale}) *scale *= factor;
  for (Seconds* latency : {&network.pair_latency, &network.nvls_latency, &network.call_floor}) *latency *= factor;
}

void scale_network_latency(Profile& profile, double factor) {
  profile.network.network_latency_scale *= factor;
  profile.network.adapter_latency *= factor;
}

Seconds time_with(const Scenario& scenario, const HardwareNumber& number, double factor, Seconds as_is) {
  Scenario changed = scenario;
  for (std::size_t machine = 0; machine < changed.machines(); ++machine) number.scale(changed.machine(machine), factor);
  if (number.scale == scale_adapters) changed.link.node_rate *= factor;
  if (number.scale == scale_network_latency) changed.link.latency *= factor;
  const auto outcome = simulate(changed);
  const Result* result = std::get_if<Result>(&outcome);
  return result != nullptr ? result->iteration : as_is;
}

Sensitivity sensitivity(const Scenario& scenario, const HardwareNumber& number, Seconds as_is) {
  const auto time = [&](double factor) { return time_with(scenario, number, factor, as_is); };
  const double elasticity = std::log(time(step) / time(1 / step)) / (2 * std::log(step));
  return {std::string(number.name), std::string(number.meaning), elasticity, as_is, time(less), time(more)};
}

}  // namespace

std::span<const HardwareNumber> hardware_numbers() {
  static constexpr auto numbers = std::to_array<HardwareNumber>({
      {"peak", "matrix rate of every number format", scale_peak},
      {"hbm_bandwidth", "memory bandwidth of a GPU", scale_memory_bandwidth},
      {"hbm_capacity", "memory of a GPU; matters where recompute is auto", scale_memory},
      {"nvlink", "bandwidth inside a node", scale_links},
      {"nic", "bandwidth of the network adapters", scale_adapters},
      {"link_latency", "of collectives and messages inside a node", scale_link_latency},
      {"network_latency", "of collectives and messages between nodes", scale_network_latency},
  });
  return numbers;
}

std::variant<std::vector<Sensitivity>, Infeasible> sensitivities(const Scenario& scenario) {
  const auto outcome = simulate(scenario);
  if (const auto* refusal = std::get_if<Infeasible>(&outcome)) return *refusal;
  const Seconds as_is = std::get<Result>(outcome).iteration;
  std::vector<Sensitivity> all;
  for (const HardwareNumber& number : hardware_numbers()) all.push_back(sensitivity(scenario, number, as_is));
  std::stable_sort(all.begin(), all.end(), [](const Sensitivity& a, const Sensitivity& b) {
    return std::abs(a.elasticity) > std::abs(b.elasticity);
  });
  return all;
}

}  // namespace echelon
