// Latency constants of rings and trees, in microseconds for LL, LL128 and Simple.
//
// NCCL v2.30, src/graph/tuning.cc (baseLatencies and hwLatencies). On xGMI runs RCCL, whose src/graph/tuning.cc has its
// own (baseLat; inside the node the hwLat of MI300X, tuning_model_5; links between nodes are taken to be NCCL's, since
// RCCL's numbers for them steer its choice of Simple more than they tell a time: 320 us a step).
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
inline constexpr StepLatency rccl_latency{{{12.0, 12.0, 17.0}, {0.8, 0.8, 2.1}, {2.2, 2.2, 5.7}, {2.7, 4.0, 14.0}},
                                          {{12.0, 12.0, 17.0}, {0.9, 0.9, 2.3}, {2.2, 2.2, 5.7}, {5.0, 8.5, 14.0}}};

inline const StepLatency& step_latency(Fabric fabric) {
  return fabric == Fabric::xgmi_mesh ? rccl_latency : nccl_latency;
}

}  // namespace echelon
