#include "sim/cost/collective.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "sim/cost/collective_choice.h"
#include "sim/cost/group_facts.h"
#include "sim/cost/step_latency.h"

namespace echelon {

namespace {

// The measurement of one number of nodes: all ranks of those nodes in one group.
CollectiveCall measured_call(const Network& network, const ScalingPoint& point, CollectiveKind kind) {
  return {kind, {point.nodes * network.gpus_per_node, network.gpus_per_node}, network.scaling.bytes};
}

Seconds transfer_time(const CollectiveCall& call, ByteRate bus) {
  return call.bytes * bus_factor(call.kind, static_cast<double>(call.group.ranks)) / bus;
}

// How much longer an all-reduce takes than the model says. It was measured as the library chose to run it.
double factor_at(const Network& network, const ScalingPoint& point) {
  if (network.forced_algorithm || network.forced_protocol) {
    Network as_measured = network;
    as_measured.forced_algorithm.reset();
    as_measured.forced_protocol.reset();
    return factor_at(as_measured, point);
  }
  const CollectiveCall call = measured_call(network, point, CollectiveKind::all_reduce);
  return transfer_time(call, point.all_reduce_bus) / chosen_price(network, call).time;
}

// Seconds that a ring of gathers or scatters waits at each of its steps, if its links are as fast as the model's.
double wait_at(const Network& network, const ScalingPoint& point) {
  const CollectiveCall call = measured_call(network, point, CollectiveKind::all_gather);
  const Seconds waits = transfer_time(call, point.gather_bus) - transfer_time(call, facts_of(network, call.group).bus);
  return std::max(0.0, waits.value() / static_cast<double>(call.group.ranks - 1));
}

// `value` of the measured points, over the logarithm of the nodes; the ends of the measurements serve beyond them.
template <class Value>
double interpolated(const Network& network, double nodes, const Value& value) {
  const std::vector<ScalingPoint>& points = network.scaling.points;
  const auto above = std::find_if(points.begin(), points.end(),
                                  [&](const ScalingPoint& point) { return static_cast<double>(point.nodes) >= nodes; });
  if (above == points.begin()) return value(network, points.front());
  if (above == points.end()) return value(network, points.back());
  const ScalingPoint& below = *std::prev(above);
  const double from = std::log2(static_cast<double>(below.nodes));
  const double to = std::log2(static_cast<double>(above->nodes));
  const double share = (std::log2(nodes) - from) / (to - from);
  return std::lerp(value(network, below), value(network, *above), share);
}

// Whether NCCL takes LL rather than Simple for a ring of gathers or scatters between nodes: by its own constants, which
// know nothing of the system, and the bus bandwidth that it gives LL there: a half, and so much at most (tuning.cc,
// llMaxBws of Hopper).
bool takes_ll(const CollectiveCall& call, const GroupFacts& facts) {
  const ByteRate ll_bus = std::min(facts.bus * 0.5, gigabytes_per_second(facts.nodes <= 2 ? 45 : 35));
  const double between = facts.nodes - 1;
  const auto latency = [&](CollectiveProtocol protocol) {
    const auto p = static_cast<std::size_t>(protocol);
    const LatencyRow& row = nccl_latency.ring;
    return microseconds(row.base[p] + (facts.ranks - 1 - between) * row.link[p] + between * row.network[p]);
  };
  return latency(CollectiveProtocol::ll) + transfer_time(call, ll_bus) <
         latency(CollectiveProtocol::simple) + transfer_time(call, facts.bus);
}

Seconds scaled_to_measured(const Network& network, const CollectiveCall& call, const CollectivePrice& price) {
  const GroupFacts facts = facts_of(network, call.group);
  if (network.scaling.points.empty() || facts.nodes <= 1) return price.time;
  if (call.kind != CollectiveKind::all_gather && call.kind != CollectiveKind::reduce_scatter)
    return price.time * interpolated(network, facts.nodes, factor_at);
  if (takes_ll(call, facts)) return price.time;
  const Seconds waits(interpolated(network, facts.nodes, wait_at) * (facts.ranks - 1));
  return std::max(price.time, transfer_time(call, facts.bus) + waits);
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
  price.time = scaled_to_measured(network, call, price);
  return price;
}

Seconds transfer_part(const Network& network, const CollectiveCall& call) {
  constexpr Bytes endless{1e15};
  return collective_time(network, {call.kind, call.group, endless}).time * (call.bytes / endless);
}

Seconds point_to_point_time(const Network& network, bool same_node, Bytes bytes, double sharers) {
  if (bytes <= Bytes(0)) return Seconds(0);
  if (same_node) return network.pair_latency + bytes / network.pair_rate;
  const double adapters_each = static_cast<double>(network.adapters) / std::max(1.0, sharers);
  // A single GPU drives one adapter.
  return network.adapter_latency + bytes / (network.adapter_rate * std::min(1.0, adapters_each));
}

}  // namespace echelon
