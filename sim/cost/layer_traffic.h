// What collectives inside layers send over links, for the network model `flow`. It stands beside the price of a work,
// which holds their time as the analytic model has it.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/base/collective_kind.h"
#include "sim/base/units.h"
#include "sim/graph/layer_program.h"

namespace echelon {

// All calls of one sort of a work.
struct LayerTraffic {
  Axis axis = Axis::tensor;
  GroupPart part = GroupPart::whole;  // which ranks of the axis take part, as in Communication
  std::int64_t ranks = 0;
  std::int64_t stride = 1;
  CollectiveKind kind = CollectiveKind::all_reduce;
  double calls = 0;
  Bytes bytes;       // full vectors, summed
  Seconds transfer;  // of the bytes alone, without latencies, as the analytic model has it
  Seconds exposed;   // of the transfer, what the price holds: compute hides the rest

  LayerTraffic scaled(double factor) const;
};

LayerTraffic one_call(const Communication& communication, CollectiveKind kind, Bytes bytes, Seconds transfer);

// A communication of a layer as often as it runs; what it sends is known of axes on links alone.
struct PricedCalls {
  Seconds time;
  LayerTraffic sent;
  Seconds check;  // of the host, which waits for the hosts of the group before it launches

  PricedCalls times(double count) const { return {time * count, sent.scaled(count), check * count}; }
};

// Adds to the entry of the same sort, or makes one.
void add_traffic(std::vector<LayerTraffic>& all, const LayerTraffic& more);

}  // namespace echelon
