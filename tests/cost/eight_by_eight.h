// Nodes of eight GPUs with an adapter each.
#pragma once

#include "sim/hardware/network.h"

namespace echelon::testing {

inline Network eight_by_eight() {
  Network network;
  network.gpus_per_node = 8;
  network.ring_bus = gigabytes_per_second(235);
  network.pair_rate = gigabytes_per_second(200);
  network.pair_latency = microseconds(3);
  network.adapters = 8;
  network.adapter_rate = gigabytes_per_second(23);
  network.adapter_latency = microseconds(10);
  network.mid_size_loss = 0.4;
  return network;
}

}  // namespace echelon::testing
