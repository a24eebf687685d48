#include "sim/app/network_traffic.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <tuple>
#include <utility>

#include "sim/app/host_cost.h"
#include "sim/app/inside_layers.h"
#include "sim/app/machine_flows.h"
#include "sim/app/rank_order.h"
#include "sim/cost/collective.h"
#include "sim/cost/compute.h"
#include "sim/engine/binding_links.h"

namespace echelon {

namespace {

CollectiveCall call_of(CollectiveKind kind, const GroupLayout& layout, Bytes bytes) {
  return {kind, shape_of(layout), bytes};
}

// Flows of one step with whose they are, by their groups.
class OwnedFlows {
 public:
  void add(Flow flow, const FlowOwner& owner) {
    flows_.push_back(std::move(flow));
    owners_.push_back(owner);
  }

  void move_to(TrafficPattern& pattern) {
    std::vector<std::size_t> order(flows_.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return owners_[a].group < owners_[b].group; });
    pattern.steps.emplace_back();
    pattern.owners.emplace_back();
    for (const std::size_t i : order) {
      pattern.steps.back().push_back(std::move(flows_[i]));
      pattern.owners.back().push_back(owners_[i]);
    }
  }

 private:
  std::vector<Flow> flows_;
  std::vector<FlowOwner> owners_;
};

class TrafficBuilder {
 public:
  TrafficBuilder(const Scenario& scenario, const Lowering& lowering, const WorkPrices& prices, const Cluster& cluster,
                 const Topology& ways)
      : scenario_(scenario),
        lowering_(lowering),
        prices_(prices),
        cluster_(cluster),
        mesh_(scenario.strategy.mesh),
        flows_(scenario, cluster, ways),
        router_(ways, cluster.policy),
        host_(host_cost(scenario)),
        rank_of_(cluster.topology.vertices.size(), -1) {
    for (std::size_t rank = 0; rank < cluster.gpu_of.size(); ++rank)
      rank_of_[static_cast<std::size_t>(cluster.gpu_of[rank])] = static_cast<std::int32_t>(rank);
  }

  LinkTraffic build() {
    LinkTraffic traffic;
    traffic.capacities = link_capacities(cluster_.topology);
    const auto& programs = lowering_.graph.programs;
    const auto receivers = receiving_programs();
    traffic.pattern_of.resize(programs.size());
    for (std::size_t p = 0; p < programs.size(); ++p)
      for (std::size_t i = 0; i < programs[p].tasks.size(); ++i)
        traffic.pattern_of[p].push_back(pattern(p, programs[p].tasks[i], receivers[p][i], traffic));
    for (const BackgroundJob& job : scenario_.background) traffic.background.push_back(of_job(job));
    return traffic;
  }

 private:
  // By program and task: the other program that waits for it; -1 = none.
  std::vector<std::vector<std::int32_t>> receiving_programs() const {
    const auto& programs = lowering_.graph.programs;
    std::vector<std::vector<std::int32_t>> receivers;
    for (const Program& program : programs) receivers.emplace_back(program.tasks.size(), -1);
    for (std::size_t p = 0; p < programs.size(); ++p)
      for (const TaskReference& on : programs[p].dependences)
        if (on.program != static_cast<std::int32_t>(p))
          receivers[static_cast<std::size_t>(on.program)][static_cast<std::size_t>(on.task)] =
              static_cast<std::int32_t>(p);
    return receivers;
  }

  std::int32_t pattern(std::size_t program, const Task& task, std::int32_t receiver, LinkTraffic& traffic) {
    const Work& work = lowering_.works[static_cast<std::size_t>(task.work)];
    const bool message = std::holds_alternative<TransferWork>(work);
    if (!message && !std::holds_alternative<CollectiveChain>(work)) return -1;
    const auto key = std::make_tuple(program, task.work, message ? receiver : -1);
    if (const auto known = known_.find(key); known != known_.end()) return known->second;
    const std::int32_t machine = prices_.machines[static_cast<std::size_t>(task.work)];
    TrafficPattern made = message ? of_message(program, std::get<TransferWork>(work), receiver, machine)
                                  : of_chain(program, std::get<CollectiveChain>(work), machine);
    const bool empty = std::all_of(made.steps.begin(), made.steps.end(), [](const auto& step) { return step.empty(); });
    if (empty) return known_[key] = -1;
    traffic.patterns.push_back(std::move(made));
    return known_[key] = static_cast<std::int32_t>(traffic.patterns.size()) - 1;
  }

  // Every rank of the stage sends to the one of its place in the next; between unlike degrees the wider stage's ranks
  // share what goes to or comes from one of the narrower.
  TrafficPattern of_message(std::size_t program, const TransferWork& work, std::int32_t receiver,
                            std::int32_t machine) {
    TrafficPattern result;
    if (receiver < 0 || work.bytes <= Bytes(0)) return result;
    const Network& network = flows_.network(machine, work.bridges);
    const double part = part_of_pair(static_cast<std::int64_t>(program), receiver);
    OwnedFlows flows;
    for (const auto& pair : stage_pairs(mesh_, static_cast<std::int64_t>(program), receiver)) {
      const VertexId sender = gpu(pair.front());
      const VertexId target = gpu(pair.back());
      Route route = router_.way(sender, target, number_++);
      const bool inside = cluster_.topology.vertex(sender).domain == cluster_.topology.vertex(target).domain;
      const Seconds latency = (inside ? network.pair_latency : network.adapter_latency) + host_.message +
                              latency_between_switches(cluster_.topology, route);
      const ByteRate cap = work.bridges ? std::min(network.pair_rate, adapter_share(network)) : network.pair_rate;
      flows.add({Time(), work.bytes * part, std::move(route.hops), Time::from_seconds(latency), cap * part},
                owner(stage_rank(pair.front()), sender, target));
    }
    flows.move_to(result);
    return result;
  }

  // What of a rank of the narrower stage's bytes goes between it and one of the wider: a power of two's part or 1.
  double part_of_pair(std::int64_t one, std::int64_t other) const {
    const auto [fewer, more] = std::minmax(stage_mesh(mesh_, one).tensor, stage_mesh(mesh_, other).tensor);
    return static_cast<double>(fewer) / static_cast<double>(more);
  }

  // Of a node's adapters, each GPU's.
  static ByteRate adapter_share(const Network& network) {
    return network.adapter_rate *
           std::min(1.0, static_cast<double>(network.adapters) / static_cast<double>(network.gpus_per_node));
  }

  TrafficPattern of_chain(std::size_t program, const CollectiveChain& chain, std::int32_t machine) {
    TrafficPattern result;
    if (scenario_.strategy.mesh.pipeline > 1 && holds_two_copies()) return result;
    for (const CollectiveWork& call : chain.calls) of_call(program, call, machine).move_to(result);
    const Device& device = scenario_.machine(static_cast<std::size_t>(machine)).device;
    if (chain.copies.moved > Bytes(0))
      result.after = Time::from_seconds(memory_bound_time(device, chain.copies.moved, 1).time);
    return result;
  }

  // Groups that join ranks of several stages are wider than the stage.
  bool holds_two_copies() const {
    for (const Work& work : lowering_.works)
      if (const auto* chain = std::get_if<CollectiveChain>(&work))
        for (const CollectiveWork& call : chain->calls)
          if (call.group.members == Communicator::data &&
              call.group.ranks > mesh_.data / mesh_.local_groups * mesh_.context)
            return true;
    return false;
  }

  // All groups of the stage at once. Calls in a row are one transfer that waits for each call's latency. What joins
  // groups of machines goes no faster than the analytic model lets a node's part of it.
  OwnedFlows of_call(std::size_t program, const CollectiveWork& call, std::int32_t machine) {
    const Network& network = flows_.network(machine, call.group.bridges);
    CollectiveFlows& collectives = flows_.collectives(machine, call.group.bridges);
    const CollectiveCall one = call_of(call.kind, call.group, call.bytes);
    const CollectivePrice price = collective_time(network, one);
    const Seconds transfer = transfer_part(network, one);
    const bool tied = call.group.members == Communicator::tied_ends;
    const double part = tied ? part_of_pair(first_end(), last_end()) : 1;
    const double loss = measured_loss(network, call.kind, call.group);
    GroupCall group{call.kind, {}, call.bytes * (call.count * loss * part), price.algorithm, std::nullopt, call.count};
    group.latency = Time::from_seconds(std::max(Seconds(0), price.time - transfer) * call.count);
    OwnedFlows flows;
    for (const auto& ranks : groups_of(program, call.group)) {
      group.gpus.clear();
      for (const std::int64_t rank : ranks) group.gpus.push_back(gpu(rank));
      if (!collectives.applies(group, *group.algorithm)) group.algorithm = CollectiveAlgorithm::ring;
      const auto first = static_cast<std::int32_t>(coordinates_of(mesh_, ranks.front()).tensor);
      for (Flow& flow : collectives.flows(group, Time(), number_++)) {
        const VertexId from = cluster_.topology.link(flow.route.front().link).from;
        const VertexId to = cluster_.topology.link(flow.route.back().link).to;
        if (tied && !sends(program, from)) continue;
        if (call.group.bridges) {
          const ByteRate most(flow.bytes.value() / (transfer.value() * call.count * loss));
          flow.cap = flow.cap > ByteRate(0) ? std::min(flow.cap, most) : most;
        }
        flows.add(std::move(flow), owner(first, from, to));
      }
    }
    return flows;
  }

  std::int64_t first_end() const { return static_cast<std::int64_t>(lowering_.ends[0]); }
  std::int64_t last_end() const { return static_cast<std::int64_t>(lowering_.ends[1]); }

  // All collectives of the job at once: each joins neighbouring places of every node.
  BackgroundTraffic of_job(const BackgroundJob& job) {
    std::vector<std::vector<VertexId>> nodes;
    for (const std::int64_t node : job.nodes) {
      nodes.emplace_back();
      for (const VertexId id : cluster_.topology.gpus)
        if (cluster_.topology.vertex(id).node == node) nodes.back().push_back(id);
    }
    const auto all = static_cast<std::int64_t>(nodes.front().size());
    const auto each = static_cast<std::size_t>(job.ranks_per_node > 0 ? std::min(job.ranks_per_node, all) : all);
    BackgroundTraffic traffic;
    traffic.pattern.steps.emplace_back();
    for (std::size_t first = 0; first + each <= nodes.front().size(); first += each) {
      GroupCall call{job.kind, {}, job.bytes, std::nullopt, std::nullopt};
      for (const auto& node : nodes)
        for (std::size_t i = first; i < std::min(node.size(), first + each); ++i) call.gpus.push_back(node[i]);
      const std::vector<Flow> more = flows_.collectives(0, false).flows(call, Time(), number_++);
      traffic.pattern.steps.back().insert(traffic.pattern.steps.back().end(), more.begin(), more.end());
    }
    traffic.every = Time::from_seconds(job.every);
    // A phase that the seed draws, the same on every machine.
    std::mt19937_64 random(static_cast<std::uint64_t>(job.seed));
    const double phase = static_cast<double>(random() >> 11U) * 0x1p-53;
    traffic.first = Time::from_seconds(job.every * phase);
    return traffic;
  }

  // First and last stage each have a task for the sum over both: what each sends is its own.
  bool sends(std::size_t program, VertexId from) const {
    const std::int32_t rank = rank_of_[static_cast<std::size_t>(from)];
    return coordinates_of(mesh_, rank).pipeline == static_cast<std::int64_t>(program);
  }

  std::int32_t stage_rank(std::int64_t rank) const {
    return static_cast<std::int32_t>(stage_rank_at(mesh_, coordinates_of(mesh_, rank)));
  }

  std::int32_t engine_rank(std::int32_t rank) const {
    return static_cast<std::int32_t>(engine_rank_at(mesh_, coordinates_of(mesh_, rank)));
  }

  // Flows between GPUs of two domains are their ranks' to slow down.
  FlowOwner owner(std::int32_t group, VertexId from, VertexId to) const {
    const std::int32_t sender = rank_of_[static_cast<std::size_t>(from)];
    const std::int32_t receiver = rank_of_[static_cast<std::size_t>(to)];
    const Vertex& one = cluster_.topology.vertex(from);
    const Vertex& other = cluster_.topology.vertex(to);
    const bool inside = one.node == other.node || (one.domain >= 0 && one.domain == other.domain);
    if (inside || sender < 0 || receiver < 0) return {group, -1, -1};
    return {group, engine_rank(sender), engine_rank(receiver)};
  }

  std::vector<std::vector<std::int64_t>> groups_of(std::size_t program, const GroupLayout& layout) const {
    if (layout.members != Communicator::tied_ends)
      return communicator_groups(mesh_, layout, static_cast<std::int64_t>(program));
    return stage_pairs(mesh_, first_end(), last_end());
  }

  VertexId gpu(std::int64_t rank) const { return cluster_.gpu_of[static_cast<std::size_t>(rank)]; }

  const Scenario& scenario_;
  const Lowering& lowering_;
  const WorkPrices& prices_;
  const Cluster& cluster_;
  const Mesh& mesh_;
  MachineFlows flows_;
  Router router_;
  HostCost host_;
  std::vector<std::int32_t> rank_of_;  // by vertex; -1 = none sits there
  std::uint64_t number_ = 0;
  std::map<std::tuple<std::size_t, WorkId, std::int32_t>, std::int32_t> known_;
};

}  // namespace

double measured_loss(const Network& network, CollectiveKind kind, const GroupLayout& layout) {
  Network undisturbed = network;
  undisturbed.scaling = {};
  undisturbed.congestion = 0;
  const CollectiveCall call = call_of(kind, layout, Bytes(1));
  return std::max(1.0, transfer_part(network, call) / transfer_part(undisturbed, call));
}

LinkTraffic link_traffic(const Scenario& scenario, const Lowering& lowering, const WorkPrices& prices,
                         const Cluster& cluster) {
  const auto built_on = [&](const Topology& ways) {
    try {
      LinkTraffic traffic = TrafficBuilder(scenario, lowering, prices, cluster, ways).build();
      add_layer_flows(scenario, lowering, prices, cluster, ways, traffic);
      return traffic;
    } catch (const NoWay& none) {
      refuse_cut(scenario, ways, none);
    }
  };
  LinkTraffic traffic = built_on(cluster.topology);
  for (const LaterWays& later : cluster.later) {
    LinkTraffic changed = built_on(later.topology);
    LaterRoutes routes{later.from, {}, std::move(changed.patterns), {}};
    for (const Link& link : later.topology.links) routes.down.push_back(!link.up);
    for (BackgroundTraffic& job : changed.background) routes.background.push_back(std::move(job.pattern));
    traffic.later.push_back(std::move(routes));
  }
  keep_binding_links(traffic);
  return traffic;
}

}  // namespace echelon
