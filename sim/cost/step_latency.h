// Latency constants of rings and trees, in microseconds for LL, LL128 and Simple.
//
// NCCL v2.30, src/graph/tuning.cc (baseLatencies and hwLatencies). On xGMI runs RCCL, whose src/graph/tuning.cc has its
// own (baseLat, and the hwLat of MI300X, tuning_model_5). One of those is left out: 320 us for a step of a Simple ring
// between nodes keeps RCCL from such rings below 256 MiB (rccl_choice.h) and tells no time; NCCL's stands in its place.
#pragma once

#include <array>

#include "sim/hardware/network.h"

namespace echelon {

struct LatencyRow {
  std::array<double, 3> base;
  std::array<double, 3> link;  // of a step over NVLink or xGMI
  std::array<double, 3> pcie;
  std::array<double, 3> network;
};

struct StepLatency {
  LatencyRow ring;
  LatencyRow tree;
};

inline constexpr StepLatency nccl_latency{{{6.6, 14.0, 8.4}, {0.6, 1.9, 3.4}, {1.0, 2.5, 5.7}, {2.7, 4.0, 14.0}},
                                          {{6.8, 14.0, 8.4}, {0.6, 1.25, 4.0}, {1.0, 1.9, 4.0}, {5.0, 8.5, 14.0}}};
inline constexpr StepLatency rccl_latency{{{12.0, 12.0, 17.0}, {0.8, 0.8, 2.1}, {2.2, 2.2, 5.7}, {9.5, 9.5, 14.0}},
                                          {{12.0, 12.0, 17.0}, {0.9, 0.9, 2.3}, {2.2, 2.2, 5.7}, {10.5, 10.5, 25.0}}};

inline const StepLatency& step_latency(Fabric fabric) {
  return fabric == Fabric::xgmi_mesh ? rccl_latency : nccl_latency;
}

}  // namespace echelon
