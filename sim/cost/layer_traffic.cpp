#include "sim/cost/layer_traffic.h"

#include <algorithm>

namespace echelon {

LayerTraffic LayerTraffic::scaled(double factor) const {
  LayerTraffic result = *this;
  result.calls *= factor;
  result.bytes *= factor;
  result.transfer *= factor;
  result.exposed *= factor;
  return result;
}

LayerTraffic one_call(const Communication& communication, CollectiveKind kind, Bytes bytes, Seconds transfer) {
  LayerTraffic sent;
  sent.axis = communication.axis;
  sent.part = communication.part;
  sent.ranks = communication.ranks;
  sent.stride = communication.stride;
  sent.kind = kind;
  sent.calls = 1;
  sent.bytes = bytes;
  sent.transfer = transfer;
  return sent;
}

void add_traffic(std::vector<LayerTraffic>& all, const LayerTraffic& more) {
  const auto same = std::find_if(all.begin(), all.end(), [&](const LayerTraffic& one) {
    return one.axis == more.axis && one.part == more.part && one.ranks == more.ranks && one.stride == more.stride &&
           one.kind == more.kind;
  });
  if (same == all.end()) {
    all.push_back(more);
    return;
  }
  same->calls += more.calls;
  same->bytes += more.bytes;
  same->transfer += more.transfer;
  same->exposed += more.exposed;
}

}  // namespace echelon
