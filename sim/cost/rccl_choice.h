// What RCCL runs between nodes of MI300X. It does not take what is cheapest: tables name the protocol by what a rank
// has of the vector and the algorithm by the vector.
//
// ROCm/rccl @9e22c79d8dcc, src/graph/tuning.cc, tuning_model_5 (that of MI300X's models in rome_models.cc):
//   protocols   llProtoRanges as rcclUpdateCollectiveProtocol (src/rccl_wrap.cc) reads them: LL up to where LL128
//               begins, that up to its end, of an all-reduce's vector on more than two nodes 3.8 times as far, then
//               Simple
//   algorithms  all-reduces run as trees up to 256 MiB: below, ringCorrectionFactor leaves Simple rings a tenth of
//               their bandwidth, from there on all of it
// The latencies of its steps are in step_latency.h. Private to the cost room.
#pragma once

#include <optional>
#include <vector>

#include "sim/base/units.h"
#include "sim/hardware/network.h"

namespace echelon {

// What may be chosen; absent: any.
struct AllowedChoice {
  std::optional<CollectiveAlgorithm> algorithm;
  std::optional<CollectiveProtocol> protocol;
};

struct RcclRange {
  Bytes most;  // of the whole vector, this size included
  CollectiveAlgorithm algorithm = CollectiveAlgorithm::ring;
  CollectiveProtocol protocol = CollectiveProtocol::simple;
};

// All-reduce, all-gather and reduce-scatter.
bool rccl_has_ranges(CollectiveKind kind);

// By size, the last without end; of two nodes or more.
std::vector<RcclRange> rccl_ranges(CollectiveKind kind, double ranks, double nodes);

}  // namespace echelon
