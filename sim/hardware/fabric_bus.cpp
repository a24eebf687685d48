#include "sim/hardware/fabric_bus.h"

#include <algorithm>
#include <cmath>

namespace echelon {

namespace {

// What `members` of the fabric's GPUs reach where all of them reach `all`.
ByteRate part_of(const Network& network, ByteRate all, double members) {
  if (members < 2) return all;
  const auto gpus = static_cast<double>(network.scale_up_gpus());
  const ByteRate pair = network.pair_bus > ByteRate(0) ? network.pair_bus : all;
  switch (network.fabric) {
    case Fabric::nvswitch:
      return all;
    case Fabric::nvlink_mesh:
    case Fabric::xgmi_mesh:
      return std::min(all, pair * (members - 1));
    case Fabric::pcie:
      if (members >= gpus) return all;
      return pair * std::pow(all / pair, std::log2(members / 2) / std::log2(gpus / 2));
  }
  return all;
}

}  // namespace

ByteRate ring_bus_of(const Network& network, double members) {
  if (members <= 2 && network.pair_bus > ByteRate(0)) return network.pair_bus;
  return part_of(network, network.ring_bus, members);
}

ByteRate all_to_all_bus_of(const Network& network, double members) {
  return part_of(network, network.all_to_all_bus > ByteRate(0) ? network.all_to_all_bus : network.ring_bus, members);
}

ByteRate nvls_bus_of(const Network& network, double members) {
  const auto gpus = static_cast<double>(network.scale_up_gpus());
  return network.nvls_bus * ((members - 1) / members * gpus / std::max(1.0, gpus - 1));
}

}  // namespace echelon
