#include "sim/cost/collective.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "sim/cost/collective_choice.h"
#include "sim/cost/group_facts.h"

namespace echelon {

namespace {

Seconds transfer_time(const CollectiveCall& call, ByteRate bus) {
  return call.bytes * bus_factor(call.kind, static_cast<double>(call.group.ranks)) / bus;
}

// What fills NCCL's channels: each takes 32 KiB, which is 512 threads of 64 bytes (src/enqueue.cc, topoGetAlgoInfo;
// NCCL_SIMPLE_THREAD_THRESHOLD), and nodes of eight H100 have 16 (NVIDIA/nccl issue 1453). Each channel sends messages
// of its own at every step.
constexpr Bytes all_channels{16.0 * 32 * 1024};

// Seconds that a ring through whole nodes waited at all entries into a node, all channels open, if their links are as
// fast as the model's. It was measured as the library chose to run it.
double waits_at(const Network& network, const ScalingPoint& point, CollectiveKind kind) {
  if (network.forced_algorithm || network.forced_protocol) {
    Network as_measured = network;
    as_measured.forced_algorithm.reset();
    as_measured.forced_protocol.reset();
    return waits_at(as_measured, point, kind);
  }
  const GroupShape whole_nodes{point.nodes * network.gpus_per_node, network.gpus_per_node};
  const CollectiveCall call{kind, whole_nodes, network.scaling.bytes};
  const ByteRate bus = kind == CollectiveKind::all_reduce ? point.all_reduce_bus : point.gather_bus;
  return std::max(0.0, (transfer_time(call, bus) - transfer_part(network, call)).value());
}

// All waits of so many nodes: over the logarithm of the nodes, and beyond the measurements each entry into a node waits
// as at their ends.
double waits_over(const Network& network, double nodes, CollectiveKind kind) {
  const std::vector<ScalingPoint>& points = network.scaling.points;
  const auto at = [&](const ScalingPoint& point) { return waits_at(network, point, kind); };
  const auto count = [](const ScalingPoint& point) { return static_cast<double>(point.nodes); };
  const auto above =
      std::find_if(points.begin(), points.end(), [&](const ScalingPoint& point) { return count(point) >= nodes; });
  if (above == points.begin()) return at(points.front()) * nodes / count(points.front());
  if (above == points.end()) return at(points.back()) * nodes / count(points.back());
  const ScalingPoint& below = *std::prev(above);
  const double share = std::log2(nodes / count(below)) / std::log2(count(*above) / count(below));
  return std::lerp(at(below), at(*above), share);
}

// Kinds whose messages go from rank to rank as those of an all-reduce and of gathers do, which were measured.
bool waits_at_steps(CollectiveKind kind) {
  return kind == CollectiveKind::all_reduce || kind == CollectiveKind::all_gather ||
         kind == CollectiveKind::reduce_scatter || kind == CollectiveKind::all_to_all;
}

// `time` by the model. Vectors that fill the channels take their transfer and the waits; shorter ones wait less, and
// none takes less than a shorter one by the model, or than its ranks of one node do.
Seconds held_against_measurements(const Network& network, const CollectiveCall& call, Seconds time) {
  const GroupFacts facts = facts_of(network, call.group);
  if (network.scaling.points.empty() || facts.nodes <= 1 || !waits_at_steps(call.kind)) return time;
  const CollectiveKind measured =
      call.kind == CollectiveKind::all_reduce ? CollectiveKind::all_reduce : CollectiveKind::all_gather;
  const Bytes filling = std::min(call.bytes, all_channels);
  const Seconds waits(waits_over(network, facts.nodes, measured) * (filling / all_channels));
  const Seconds least = filling < call.bytes ? chosen_price(network, {call.kind, call.group, filling}).time : time;
  const GroupShape one_node{call.group.ranks_per_node, call.group.ranks_per_node};
  const Seconds inside =
      one_node.ranks > 1 ? chosen_price(network, {call.kind, one_node, call.bytes}).time : Seconds(0);
  return std::max({least, inside, transfer_part(network, call) + waits});
}

}  // namespace

double bus_factor(CollectiveKind kind, double ranks) {
  switch (kind) {
    case CollectiveKind::all_reduce:
      return 2 * (ranks - 1) / ranks;
    case CollectiveKind::all_gather:
    case CollectiveKind::reduce_scatter:
    case CollectiveKind::all_to_all:
      return (ranks - 1) / ranks;
    default:
      return 1;
  }
}

CollectivePrice collective_time(const Network& network, const CollectiveCall& call) {
  if (call.group.ranks <= 1 || call.bytes <= Bytes(0))
    return {Seconds(0), CollectiveAlgorithm::ring, CollectiveProtocol::simple, Ground::measured};
  CollectivePrice price = chosen_price(network, call);
  price.time = held_against_measurements(network, call, price.time);
  return price;
}

Seconds transfer_part(const Network& network, const CollectiveCall& call) {
  if (call.group.ranks <= 1) return Seconds(0);
  constexpr Bytes endless{1e15};
  return chosen_price(network, {call.kind, call.group, endless}).time * (call.bytes / endless);
}

Seconds point_to_point_time(const Network& network, bool same_node, Bytes bytes, double sharers) {
  if (bytes <= Bytes(0)) return Seconds(0);
  if (same_node) return network.pair_latency + bytes / network.pair_rate;
  const double adapters_each = static_cast<double>(network.adapters) / std::max(1.0, sharers);
  // A single GPU drives one adapter.
  return network.adapter_latency + bytes / (network.adapter_rate * std::min(1.0, adapters_each));
}

}  // namespace echelon
