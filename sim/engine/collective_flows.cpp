#include "sim/engine/collective_flows.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/base/error.h"
#include "sim/hardware/fabric_bus.h"
#include "sim/hardware/rings.h"

namespace echelon {

namespace {

bool is_rooted(CollectiveKind kind) {
  return kind == CollectiveKind::broadcast || kind == CollectiveKind::reduce;
}

// Of the vector, what each edge of one ring carries: bus over algorithm bandwidth (nccl-tests doc/PERFORMANCE.md).
double edge_share(CollectiveKind kind, double ranks) {
  if (kind == CollectiveKind::all_reduce) return 2 * (ranks - 1) / ranks;
  return is_rooted(kind) || kind == CollectiveKind::send_receive ? 1 : (ranks - 1) / ranks;
}

// Parent of a rank in a binary tree whose leaves are the odd ranks; -1 for rank 0, the root (NCCL src/graph/trees.cc).
std::int64_t tree_parent(std::int64_t rank, std::int64_t ranks) {
  if (rank == 0) return -1;
  const std::int64_t bit = rank & -rank;
  const std::int64_t parent = (rank ^ bit) | (bit << 1);
  return parent < ranks ? parent : rank ^ bit;
}

// The second tree of a pair: inner ranks of the first are its leaves. Ranks mirrored, or turned by one where odd.
std::int64_t in_second_tree(std::int64_t rank, std::int64_t ranks) {
  return ranks % 2 == 0 ? ranks - 1 - rank : (rank + 1) % ranks;
}

Time end_of(const std::vector<ByteRate>& capacities, const std::vector<Flow>& flows) {
  Time end;
  for (const Time time : completion_times(capacities, flows)) end = std::max(end, time);
  return end;
}

}  // namespace

CollectiveFlows::CollectiveFlows(const Topology& topology, RoutePolicy policy, const Network& network,
                                 const Topology* ways)
    : topology_(topology),
      network_(network),
      router_(ways != nullptr ? *ways : topology, policy),
      capacities_(link_capacities(topology)),
      switch_of_(topology.vertices.size(), -1) {
  for (const Link& link : topology.links)
    if (link.up && topology.vertex(link.to).kind == VertexKind::scale_up_switch)
      switch_of_[static_cast<std::size_t>(link.from)] = link.to;
}

bool CollectiveFlows::applies(const GroupCall& call, CollectiveAlgorithm algorithm) const {
  const bool pairs = call.kind == CollectiveKind::all_to_all || call.kind == CollectiveKind::send_receive;
  if (pairs || algorithm == CollectiveAlgorithm::direct) return pairs && algorithm == CollectiveAlgorithm::direct;
  if (algorithm == CollectiveAlgorithm::ring) return true;
  if (algorithm == CollectiveAlgorithm::pat)
    return (call.kind == CollectiveKind::all_gather || call.kind == CollectiveKind::reduce_scatter) &&
           members_by_domain(topology_, call.gpus).size() == call.gpus.size();
  // What switches outside the nodes reduce is not bytes of a pair of GPUs.
  if (algorithm == CollectiveAlgorithm::collnet_direct || algorithm == CollectiveAlgorithm::collnet_chain) return false;
  if (call.kind != CollectiveKind::all_reduce) return false;
  const auto domains = members_by_domain(topology_, call.gpus);
  if (algorithm == CollectiveAlgorithm::tree) return domains.size() > 1;
  if (network_.nvls_bus <= ByteRate(0) || (algorithm == CollectiveAlgorithm::nvls) != (domains.size() == 1))
    return false;
  const std::size_t least = domains.size() == 1 ? static_cast<std::size_t>(least_nvls_gpus) : 3;
  return std::all_of(domains.begin(), domains.end(), [&](const DomainMembers& members) {
    const VertexId fabric = switch_of_[static_cast<std::size_t>(members.front())];
    return members.size() >= least && fabric >= 0 && std::all_of(members.begin(), members.end(), [&](VertexId gpu) {
             return switch_of_[static_cast<std::size_t>(gpu)] == fabric;
           });
  });
}

std::vector<Flow> CollectiveFlows::flows(const GroupCall& call, Time start, std::uint64_t number) {
  if (call.gpus.size() < 2 || call.bytes <= Bytes(0)) return {};
  const Plan plan = this->plan(call, call.algorithm ? *call.algorithm : fastest(call));
  std::vector<Flow> flows(plan.edges.size());
  // The router keeps what it knows of one destination: edges by where they lead.
  std::vector<std::size_t> order(plan.edges.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return plan.edges[a].to < plan.edges[b].to; });
  std::vector<Seconds> latencies(plan.edges.size());
  for (const std::size_t i : order) {
    const Edge& edge = plan.edges[i];
    Route route = router_.way(edge.from, edge.to, number + i);
    latencies[i] = call.latency ? latency_between_switches(topology_, route) : route.latency;
    flows[i] = {start, edge.bytes, std::move(route.hops), Time(), plan.bus * (edge.bytes / plan.vector_on_bus)};
  }
  const Seconds chain = latency_of_chain(plan, latencies) * call.calls;
  for (Flow& flow : flows) flow.latency = call.latency.value_or(Time()) + Time::from_seconds(chain);
  return flows;
}

// Every part of a ring goes along all its edges; of a tree's, from the farthest leaf up to the root and down again; of
// an all-to-all's, along one.
Seconds CollectiveFlows::latency_of_chain(const Plan& plan, const std::vector<Seconds>& latencies) {
  if (plan.at_once) return *std::max_element(latencies.begin(), latencies.end());
  Seconds outside_trees;
  double edges_outside = 0;
  Seconds longest;
  for (std::size_t i = 0; i < plan.edges.size(); ++i) {
    if (!plan.edges[i].in_tree) {
      outside_trees += latencies[i];
      ++edges_outside;
      continue;
    }
    Seconds up = latencies[i];
    for (std::int64_t at = plan.edges[i].then; at >= 0; at = plan.edges[static_cast<std::size_t>(at)].then)
      up += latencies[static_cast<std::size_t>(at)];
    longest = std::max(longest, up);
  }
  if (edges_outside > 0) outside_trees *= plan.steps / edges_outside;
  return outside_trees + 2 * longest;
}

Time CollectiveFlows::time_alone(const GroupCall& call) {
  return end_of(capacities_, flows(call, Time(), 0));
}

CollectiveAlgorithm CollectiveFlows::fastest(const GroupCall& call) {
  std::optional<CollectiveAlgorithm> best;
  Time best_time = Time::max();
  for (const auto& [algorithm, name] : enum_names<CollectiveAlgorithm>) {
    if (!applies(call, algorithm)) continue;
    GroupCall chosen = call;
    chosen.algorithm = algorithm;
    const Time time = time_alone(chosen);
    if (best && time >= best_time) continue;
    best = algorithm;
    best_time = time;
  }
  return *best;
}

CollectiveFlows::Plan CollectiveFlows::plan(const GroupCall& call, CollectiveAlgorithm algorithm) {
  SIM_CHECK(applies(call, algorithm), "{} does no {} on these GPUs", name_of(algorithm), name_of(call.kind));
  Plan plan;
  if (algorithm == CollectiveAlgorithm::ring)
    plan = ring(call);
  else if (algorithm == CollectiveAlgorithm::tree)
    plan = tree(call);
  else if (algorithm == CollectiveAlgorithm::direct)
    plan = call.kind == CollectiveKind::all_to_all ? all_to_all(call) : send_receive(call);
  else if (algorithm == CollectiveAlgorithm::pat)
    plan = pat(call);
  else
    plan = switched(call);
  plan.vector_on_bus = call.bytes * edge_share(call.kind, static_cast<double>(call.gpus.size()));
  return plan;
}

ByteRate CollectiveFlows::ring_bus(const GroupCall& call) const {
  const auto domains = members_by_domain(topology_, call.gpus);
  const auto members = static_cast<double>(domains.front().size());
  if (members <= 1) return ByteRate(0);  // no ring inside the fabric
  ByteRate bus = ring_bus_of(network_, members);
  // As the price has it: a ring that goes on to other nodes takes one link less of the mesh than one that closes.
  if (network_.fabric == Fabric::xgmi_mesh && domains.size() > 1 && members > 2) bus *= members / (members - 1);
  return is_rooted(call.kind) ? bus * network_.rooted_share : bus;
}

CollectiveFlows::Plan CollectiveFlows::ring(const GroupCall& call) const {
  const auto all = rings(topology_, call.gpus);
  const double ranks = static_cast<double>(call.gpus.size());
  const Bytes each = call.bytes * (edge_share(call.kind, ranks) / static_cast<double>(all.size()));
  Plan plan;
  for (const auto& ring : all) {
    for (std::size_t i = 0; i < ring.size(); ++i) {
      const VertexId from = ring[i];
      const VertexId to = ring[(i + 1) % ring.size()];
      if (is_rooted(call.kind) && to == call.gpus.front()) continue;  // a chain that begins at the root
      if (call.kind == CollectiveKind::reduce)
        plan.edges.push_back({to, from, each});
      else
        plan.edges.push_back({from, to, each});
    }
  }
  plan.bus = ring_bus(call);
  plan.steps = (ranks - 1) * (call.kind == CollectiveKind::all_reduce ? 2 : 1);
  return plan;
}

// Two trees over the domains for each GPU of a domain; each tree sums half of that GPU's part upwards and hands the sum
// down again.
void CollectiveFlows::trees_between(const std::vector<std::vector<VertexId>>& domains, Bytes bytes, Plan& plan) const {
  const auto count = static_cast<std::int64_t>(domains.size());
  std::size_t heads = domains.front().size();
  for (const auto& members : domains) heads = std::min(heads, members.size());
  const Bytes each = bytes / (2 * static_cast<double>(heads));
  for (std::size_t head = 0; head < heads; ++head)
    for (const bool second : {false, true}) {
      const auto first = static_cast<std::int64_t>(plan.edges.size());
      for (std::int64_t rank = 1; rank < count; ++rank) {
        const auto member = [&](std::int64_t in_tree) {
          const auto& members = domains[static_cast<std::size_t>(second ? in_second_tree(in_tree, count) : in_tree)];
          return members[head * members.size() / heads];
        };
        const std::int64_t above = tree_parent(rank, count);
        const VertexId child = member(rank);
        const VertexId parent = member(above);
        plan.edges.push_back({child, parent, each, true, above > 0 ? first + 2 * (above - 1) : -1});
        plan.edges.push_back({parent, child, each, true});
      }
    }
}

// No tree moves bytes faster than the profile's share of what a ring reaches on the same links.
CollectiveFlows::Plan CollectiveFlows::tree(const GroupCall& call) {
  const auto domains = members_by_domain(topology_, call.gpus);
  Plan plan;
  trees_between(domains, call.bytes, plan);
  std::size_t longest = 0;
  for (const auto& members : domains) {
    longest = std::max(longest, members.size());
    const Bytes each = call.bytes / static_cast<double>(members.size());
    for (std::size_t head = 0; head < members.size(); ++head)
      for (std::size_t i = 0; i + 1 < members.size(); ++i) {
        const VertexId nearer = members[(head + i) % members.size()];
        const VertexId farther = members[(head + i + 1) % members.size()];
        plan.edges.push_back({farther, nearer, each});
        plan.edges.push_back({nearer, farther, each});
      }
  }
  plan.steps = 2 * static_cast<double>(longest - 1);
  GroupCall ring = call;
  ring.algorithm = CollectiveAlgorithm::ring;
  std::vector<Flow> around = flows(ring, Time(), 0);
  for (Flow& flow : around) flow.latency = Time();
  const Bytes on_bus = call.bytes * edge_share(call.kind, static_cast<double>(call.gpus.size()));
  plan.bus = ByteRate(on_bus.value() / end_of(capacities_, around).seconds().value() * network_.tree_share);
  return plan;
}

CollectiveFlows::Plan CollectiveFlows::switched(const GroupCall& call) const {
  const auto domains = members_by_domain(topology_, call.gpus);
  Plan plan;
  plan.steps = 2;
  for (const auto& members : domains) {
    const VertexId fabric = switch_of_[static_cast<std::size_t>(members.front())];
    const Bytes each = call.bytes * (1 + 1 / static_cast<double>(members.size()));
    for (const VertexId gpu : members) {
      plan.edges.push_back({gpu, fabric, each});
      plan.edges.push_back({fabric, gpu, each});
    }
  }
  if (domains.size() > 1) trees_between(domains, call.bytes, plan);
  plan.bus = nvls_bus_of(network_, static_cast<double>(domains.front().size()));
  return plan;
}

// A gather sends on what it has: 1, 2, 4, ... parts, at last what is missing; a scatter the same the other way.
CollectiveFlows::Plan CollectiveFlows::pat(const GroupCall& call) const {
  const std::size_t ranks = call.gpus.size();
  const Bytes part = call.bytes / static_cast<double>(ranks);
  Plan plan;
  plan.steps = 0;
  for (std::size_t distance = 1; distance < ranks; distance *= 2) {
    const Bytes each = part * static_cast<double>(std::min(distance, ranks - distance));
    for (std::size_t i = 0; i < ranks; ++i) {
      const VertexId to = call.gpus[(i + distance) % ranks];
      if (call.kind == CollectiveKind::all_gather)
        plan.edges.push_back({call.gpus[i], to, each});
      else
        plan.edges.push_back({to, call.gpus[i], each});
    }
    plan.steps += 1;
  }
  plan.bus = ring_bus(call);
  return plan;
}

CollectiveFlows::Plan CollectiveFlows::all_to_all(const GroupCall& call) const {
  Plan plan;
  plan.at_once = true;
  const Bytes each = call.bytes / static_cast<double>(call.gpus.size());
  for (const VertexId to : call.gpus)
    for (const VertexId from : call.gpus)
      if (from != to) plan.edges.push_back({from, to, each});
  plan.bus = all_to_all_bus_of(network_, static_cast<double>(members_by_domain(topology_, call.gpus).front().size()));
  return plan;
}

// Every rank sends to the next, the last to the first.
CollectiveFlows::Plan CollectiveFlows::send_receive(const GroupCall& call) const {
  Plan plan;
  for (std::size_t i = 0; i < call.gpus.size(); ++i)
    plan.edges.push_back({call.gpus[i], call.gpus[(i + 1) % call.gpus.size()], call.bytes});
  plan.bus = network_.pair_rate;
  return plan;
}

}  // namespace echelon
