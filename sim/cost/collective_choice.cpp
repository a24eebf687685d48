#include "sim/cost/collective_choice.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "sim/cost/group_facts.h"
#include "sim/cost/rccl_choice.h"
#include "sim/cost/rooted.h"
#include "sim/cost/step_latency.h"
#include "sim/hardware/fabric_bus.h"

namespace echelon {

namespace {

// ROCm/rccl @2a59f8dddd00, tools/msccl-algorithms/allreduce-allpairs-8n-simple.xml: maxBytes.
constexpr Bytes most_of_all_pairs{20'971'520};

constexpr double nvls_tree_network_us = 20.9;

// PAT, CollNetDirect and CollNetChain, Simple alone (tuning.cc of v2.30, the same tables and formulas).
constexpr double pat_base_us = 8;
constexpr double pat_network_us = 14;
constexpr double pat_steps_a_message = 3.5;  // of the logarithm's steps, those that overlap
constexpr double pat_rank_us = 2.8;
constexpr double pat_share = 0.75;              // of a ring's bandwidth
constexpr std::int64_t first_with_pat = 22300;  // NCCL 2.23
constexpr double collnet_direct_inside_us = 3.7;
constexpr double collnet_direct_rank_us = 0.4;
constexpr double collnet_direct_network_us = 31;
constexpr double collnet_chain_inside_us = 2.8;
constexpr double collnet_chain_network_us = 30;

// A large ring between nodes takes longer per step (tuning.cc: lat *= 1.4 for Simple rings on several nodes).
constexpr double ring_simple_network_factor = 1.4;

// What LL leaves between nodes of a ring's bandwidth under RCCL, of the half that it leaves inside one (ROCm/rccl
// src/graph/tuning.cc, tuning_model_5 of MI300X and 6 of MI355X: bwRatio). For LL128 the same tables repeat LL's
// figures, and their trees' Simple has 0.11 on two nodes: both only steer the choice. 2 MiB in LL128 took less than 1
// MiB in LL (two nodes of MI300X), which NCCL's shares give.
constexpr double rccl_ring_ll = 0.08 / 0.5;
constexpr double rccl_tree_ll = 0.06 / 0.5;

// Bandwidth left by a protocol: LL sends a flag with every 4 bytes, LL128 8 bytes of 128, and 0.92 for its processing
// (tuning.cc).
std::array<double, 3> ring_shares(const Network& network, bool rccl_between_nodes = false) {
  return {network.ll_share * (rccl_between_nodes ? rccl_ring_ll : 1), network.ll128_share, 1};
}

// Trees reach 0.92 of the ring's bandwidth, and NCCL's LL variant 1/3.8 of that (tuning.cc).
std::array<double, 3> tree_shares(const Network& network, bool rccl_between_nodes) {
  const double ll =
      rccl_between_nodes ? network.ll_share * rccl_tree_ll : network.tree_share * network.ll_share / 0.5 / 3.8;
  const double ll128 = network.ll128_share / 0.92;
  return {ll, network.tree_share * ll128 * 120.0 / 128.0, network.tree_share};
}

double floor_log2(double value) {
  return std::floor(std::log2(std::max(1.0, value)));
}

class Choice {
 public:
  Choice(const Network& network, const CollectiveCall& call, const AllowedChoice& allowed)
      : network_(network),
        call_(call),
        facts_(facts_of(network, call.group)),
        ring_latency_(step_latency(network.fabric).ring),
        tree_latency_(step_latency(network.fabric).tree),
        allowed_(allowed) {
    price_.time = Seconds(std::numeric_limits<double>::max());
    price_.ground = facts_.nodes > 1 ? std::max(network.intra.ground, network.inter.ground) : network.intra.ground;
  }

  CollectivePrice run() {
    if (call_.kind == CollectiveKind::all_to_all)
      all_to_all();
    else if (call_.kind == CollectiveKind::send_receive)
      send_receive();
    else
      rings_and_trees();
    // What is forced and cannot do this collective is passed over, as NCCL did up to 2.23: an algorithm first, which
    // its tuning.cc takes away from all-reduces alone, and then a protocol.
    if (forced_ && price_.time == Seconds(std::numeric_limits<double>::max())) {
      forced_ = allowed_.algorithm && allowed_.protocol;
      allowed_.algorithm.reset();
      return run();
    }
    price_.time = std::max(price_.time, network_.call_floor);
    return price_;
  }

 private:
  void consider(CollectiveAlgorithm algorithm, CollectiveProtocol protocol, double latency_us, ByteRate bus) {
    if (bus <= ByteRate(0) || !allowed(algorithm, protocol)) return;
    const Seconds latency = microseconds(latency_us);
    const Seconds transfer = call_.bytes * bus_factor(call_.kind, facts_.ranks) / bus;
    const Seconds time =
        latency + transfer + Seconds(2 * network_.mid_size_loss * std::sqrt(latency.value() * transfer.value()));
    if (time >= price_.time) return;
    price_.time = time;
    price_.algorithm = algorithm;
    price_.protocol = protocol;
  }

  bool allowed(CollectiveAlgorithm algorithm, CollectiveProtocol protocol) const {
    const bool pairs = call_.kind == CollectiveKind::all_to_all || call_.kind == CollectiveKind::send_receive;
    if (!forced_ || pairs) return true;
    return allowed_.algorithm.value_or(algorithm) == algorithm && allowed_.protocol.value_or(protocol) == protocol;
  }

  bool is_forced(CollectiveAlgorithm algorithm) const { return forced_ && allowed_.algorithm == algorithm; }

  void rings_and_trees() {
    const bool chain = call_.kind == CollectiveKind::broadcast || call_.kind == CollectiveKind::reduce;
    if (chain && facts_.nodes > 1) return rooted_between_nodes();
    for (std::size_t p = 0; p < 3; ++p) {
      if (chain)
        pipeline(static_cast<CollectiveProtocol>(p));
      else
        ring(static_cast<CollectiveProtocol>(p));
      if (call_.kind == CollectiveKind::all_reduce && facts_.nodes > 1) tree(static_cast<CollectiveProtocol>(p));
    }
    if (call_.kind == CollectiveKind::all_reduce) {
      all_pairs();
      switched();
      reduced_between_nodes();
    }
    if (call_.kind == CollectiveKind::all_gather || call_.kind == CollectiveKind::reduce_scatter) pat();
  }

  double base_us(const LatencyRow& row, std::size_t protocol) const {
    return row.base[protocol] * network_.base_latency_scale;
  }

  // Microseconds of a step inside a node.
  double inside_us(const LatencyRow& row, std::size_t protocol) const {
    const double step = (network_.fabric == Fabric::pcie ? row.pcie : row.link)[protocol];
    return step * network_.step_latency_scale * simple_scale(protocol);
  }

  // What a network takes beyond RCCL's own step of LL, which the smallest vectors show, is its way to the other node
  // and does not grow with what a protocol does at its ends. NCCL's systems are fitted as multiples.
  double network_us(const LatencyRow& row, std::size_t protocol) const {
    if (network_.fabric == Fabric::xgmi_mesh)
      return std::max(
          0.0, row.network[protocol] * simple_scale(protocol) + row.network[0] * (network_.network_latency_scale - 1));
    return row.network[protocol] * network_.network_latency_scale * simple_scale(protocol);
  }

  double simple_scale(std::size_t protocol) const {
    return protocol == static_cast<std::size_t>(CollectiveProtocol::simple) ? network_.simple_latency_scale : 1;
  }

  bool rccl_between_nodes() const { return network_.fabric == Fabric::xgmi_mesh && facts_.nodes > 1; }

  void ring(CollectiveProtocol protocol) {
    const auto p = static_cast<std::size_t>(protocol);
    const double rounds = call_.kind == CollectiveKind::all_reduce ? 2 : 1;
    const double steps = rounds * (facts_.ranks - 1);
    const double between = facts_.nodes > 1 ? rounds * (facts_.nodes - 1) : 0;
    const double step_us = inside_us(ring_latency_, p);
    double network_step_us = network_us(ring_latency_, p);
    if (protocol == CollectiveProtocol::simple && facts_.nodes > 1) network_step_us *= ring_simple_network_factor;
    const double latency = base_us(ring_latency_, p) + (steps - between) * step_us + between * network_step_us;
    consider(CollectiveAlgorithm::ring, protocol, latency, facts_.bus * ring_shares(network_, rccl_between_nodes())[p]);
  }

  // Broadcast and reduce hand slices down the ring. Calls in a row overlap, so that one costs a step and not all of
  // them (tuning.cc prices them so; ABCI's logs show 7.6 us on 2 nodes and on 16).
  void pipeline(CollectiveProtocol protocol) {
    const auto p = static_cast<std::size_t>(protocol);
    const double between = facts_.nodes > 1 ? network_us(ring_latency_, p) : 0;
    const double step_us = std::max(inside_us(ring_latency_, p), between);
    const double latency = (base_us(ring_latency_, p) + step_us) * network_.rooted_latency_scale;
    consider(CollectiveAlgorithm::ring, protocol, latency,
             facts_.bus * (ring_shares(network_)[p] * network_.rooted_share));
  }

  void tree(CollectiveProtocol protocol) {
    const auto p = static_cast<std::size_t>(protocol);
    const double step_us = inside_us(tree_latency_, p);
    const double latency = base_us(tree_latency_, p) + 2 * ((facts_.per_node - 1) * step_us +
                                                            floor_log2(facts_.nodes) * network_us(tree_latency_, p));
    consider(CollectiveAlgorithm::tree, protocol, latency, facts_.bus * tree_shares(network_, rccl_between_nodes())[p]);
  }

  void rooted_between_nodes() {
    const double step_us = std::max(inside_us(ring_latency_, 0), network_us(ring_latency_, 0));
    const Seconds call = microseconds((base_us(ring_latency_, 0) + step_us) * network_.rooted_latency_scale);
    const RootedPrice rooted =
        rooted_time(network_, facts_.ranks, facts_.nodes, call_.bytes, call, facts_.bus * network_.rooted_share);
    price_.time = rooted.time;
    price_.algorithm = CollectiveAlgorithm::ring;
    price_.protocol = rooted.protocol;
  }

  // Parallel aggregated trees: gather and scatter in steps that double what they carry (NCCL 2.23). Chosen where a node
  // has one rank; NCCL_ALGO=PAT takes it elsewhere, too.
  void pat() {
    const bool chosen = network_.library_version >= first_with_pat && facts_.per_node <= 1;
    if (facts_.nodes <= 1 || !(chosen || is_forced(CollectiveAlgorithm::pat))) return;
    const double latency = pat_base_us * network_.base_latency_scale +
                           floor_log2(facts_.nodes) * pat_network_us / pat_steps_a_message *
                               network_.network_latency_scale * network_.simple_latency_scale +
                           pat_rank_us * facts_.ranks;
    consider(CollectiveAlgorithm::pat, CollectiveProtocol::simple, latency, facts_.bus * pat_share);
  }

  // CollNet: the network's switches add up what one rank of each node sends, so that adapters carry the vector once up
  // and once down. Inside the node ranks reduce to heads directly or along a chain.
  void reduced_between_nodes() {
    const auto open = [&](CollectiveAlgorithm algorithm) {
      return facts_.nodes > 1 && (network_.switch_reduction || is_forced(algorithm));
    };
    const ByteRate between = facts_.adapters * bus_factor(call_.kind, facts_.ranks);
    const ByteRate bus = facts_.per_node > 1 ? std::min(ring_bus_of(network_, facts_.per_node), between) : between;
    const double others = facts_.per_node - 1;
    if (open(CollectiveAlgorithm::collnet_direct))
      consider(CollectiveAlgorithm::collnet_direct, CollectiveProtocol::simple,
               2 * (std::min(1.0, others) * collnet_direct_inside_us + others * collnet_direct_rank_us) *
                       network_.step_latency_scale +
                   collnet_direct_network_us * network_.network_latency_scale,
               bus);
    if (open(CollectiveAlgorithm::collnet_chain))
      consider(CollectiveAlgorithm::collnet_chain, CollectiveProtocol::simple,
               2 * others * collnet_chain_inside_us * network_.step_latency_scale +
                   collnet_chain_network_us * network_.network_latency_scale,
               bus);
  }

  // Every rank adds up its part of what all others send it and sends them the sum: two steps over all links of the mesh
  // at once, which together have a ring's bandwidth.
  void all_pairs() {
    const bool whole = facts_.nodes <= 1 && facts_.ranks == static_cast<double>(network_.gpus_per_node);
    if (network_.fabric != Fabric::xgmi_mesh || !whole || call_.bytes > most_of_all_pairs) return;
    for (const auto protocol : {CollectiveProtocol::ll, CollectiveProtocol::simple}) {
      const auto p = static_cast<std::size_t>(protocol);
      const double latency = base_us(ring_latency_, p) + 2 * inside_us(ring_latency_, p);
      consider(CollectiveAlgorithm::direct, protocol, latency, facts_.bus * ring_shares(network_)[p]);
    }
  }

  // In-switch reduction inside the fabric; between nodes its roots form a tree whose adapters each carry the vector
  // once up and once down, so two nodes gain over the ring's share and more do not (logs of 2, 12 and 16 H100/H200
  // nodes: 471-480, 387, 370 GB/s).
  void switched() {
    if (network_.nvls_bus <= ByteRate(0) || facts_.per_node < 3) return;
    const double nvls_latency_us = network_.nvls_latency.value() * 1e6;
    const ByteRate inside = nvls_bus_of(network_, facts_.per_node);
    if (facts_.nodes <= 1) {
      if (facts_.per_node >= least_nvls_gpus || is_forced(CollectiveAlgorithm::nvls))
        consider(CollectiveAlgorithm::nvls, CollectiveProtocol::simple, nvls_latency_us, inside);
      return;
    }
    constexpr double two_node_gain = 1.25;
    const ByteRate between = facts_.adapters * (facts_.nodes <= 2 ? two_node_gain : 1.0);
    const double latency =
        nvls_latency_us + 2 * floor_log2(facts_.nodes) * nvls_tree_network_us * network_.network_latency_scale;
    consider(CollectiveAlgorithm::nvls_tree, CollectiveProtocol::simple, latency, std::min(inside, between));
  }

  // Every rank sends its part to each other: the parts for the own node over the fabric, the rest over the adapters, at
  // once.
  void all_to_all() {
    const double latency = base_us(ring_latency_, 0) + 0.25 * (facts_.ranks - 1) * network_.step_latency_scale +
                           (facts_.nodes > 1 ? network_us(ring_latency_, 2) : 0);
    const ByteRate inside = all_to_all_bus_of(network_, facts_.per_node);
    ByteRate bus = inside;
    if (facts_.nodes > 1) {
      const double crossing = (facts_.ranks - facts_.least_per_node) / (facts_.ranks - 1);
      const ByteRate adapter_share = facts_.adapters / facts_.least_per_node;
      bus = std::min(inside, adapter_share / crossing);
    }
    consider(CollectiveAlgorithm::direct, CollectiveProtocol::simple, latency, bus);
  }

  // Every rank sends to its neighbour: over the edge of a node one message, by one adapter.
  void send_receive() {
    price_.time = point_to_point_time(network_, facts_.nodes <= 1, call_.bytes, 1);
    price_.algorithm = CollectiveAlgorithm::direct;
    price_.protocol = CollectiveProtocol::simple;
  }

  const Network& network_;
  const CollectiveCall& call_;
  GroupFacts facts_;
  const LatencyRow& ring_latency_;
  const LatencyRow& tree_latency_;
  CollectivePrice price_;
  AllowedChoice allowed_;
  bool forced_ = allowed_.algorithm.has_value() || allowed_.protocol.has_value();
};

bool is_forced(const Network& network) {
  return network.forced_algorithm.has_value() || network.forced_protocol.has_value();
}

// A range of RCCL's tables never takes less than the end of the one before it.
CollectivePrice rccl_price(const Network& network, const CollectiveCall& call, double nodes) {
  CollectivePrice price;
  for (const RcclRange& range : rccl_ranges(call.kind, static_cast<double>(call.group.ranks), nodes)) {
    const Seconds before = price.time;
    const CollectiveCall up_to{call.kind, call.group, std::min(call.bytes, range.most)};
    price = Choice(network, up_to, {range.algorithm, range.protocol}).run();
    price.time = std::max(price.time, before);
    if (call.bytes <= range.most) break;
  }
  return price;
}

Network with_own_choice(Network network) {
  network.forced_algorithm.reset();
  network.forced_protocol.reset();
  return network;
}

// Whether anything that is forced is what runs: what cannot be is passed over.
bool follows(const CollectivePrice& price, const Network& network) {
  return network.forced_algorithm == price.algorithm || network.forced_protocol == price.protocol;
}

CollectivePrice price_of(const Network& network, const CollectiveCall& call) {
  const GroupFacts facts = facts_of(network, call.group);
  const bool by_tables = network.fabric == Fabric::xgmi_mesh && facts.nodes > 1 && rccl_has_ranges(call.kind);
  if (!by_tables || is_forced(network)) {
    const CollectivePrice price = Choice(network, call, {network.forced_algorithm, network.forced_protocol}).run();
    if (!by_tables || follows(price, network)) return price;
  }
  CollectivePrice price = rccl_price(network, call, facts.nodes);
  if (facts.nodes <= 2) return price;
  // Two nodes leave LL128 earlier, and are no dearer for it.
  const GroupShape two{2 * static_cast<std::int64_t>(facts.per_node), call.group.ranks_per_node};
  price.time = std::max(price.time, rccl_price(network, {call.kind, two, call.bytes}, 2).time);
  return price;
}

}  // namespace

CollectivePrice chosen_price(const Network& network, const CollectiveCall& call) {
  const CollectivePrice price = price_of(network, call);
  if (is_forced(network) && follows(price, network)) return price;
  if (call.kind != CollectiveKind::all_gather && call.kind != CollectiveKind::reduce_scatter) return price;
  // Where switches add up, they gather and scatter too (NCCL's tuning.cc: NVLS inside a fabric, CollNet beyond), at no
  // more than an all-reduce takes. Elsewhere a ring's steps grow with the ranks, and an all-reduce's tree does not.
  const GroupFacts facts = facts_of(network, call.group);
  if (facts.nodes <= 1 ? network.nvls_bus <= ByteRate(0) : !network.switch_reduction) return price;
  const CollectiveCall all_reduce{CollectiveKind::all_reduce, call.group, call.bytes};
  const CollectivePrice bound = price_of(is_forced(network) ? with_own_choice(network) : network, all_reduce);
  return bound.time < price.time ? bound : price;
}

}  // namespace echelon
