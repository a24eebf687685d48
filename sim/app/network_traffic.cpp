#include "sim/app/network_traffic.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "sim/cost/collective.h"
#include "sim/cost/compute.h"
#include "sim/engine/collective_flows.h"
#include "sim/hardware/placement.h"
#include "sim/hardware/topology_families.h"
#include "strategies/mesh.h"

namespace echelon {

namespace {

constexpr Bytes endless{1e15};  // a vector beside which latencies are nothing

CollectivePrice analytic(const Network& network, CollectiveKind kind, const GroupLayout& layout, Bytes bytes) {
  return collective_time(network, {kind, {layout.ranks, layout.ranks_per_node}, bytes});
}

// What of a collective's time is not the transfer of its bytes.
Seconds fixed_part(const Network& network, CollectiveKind kind, const GroupLayout& layout, Bytes bytes) {
  const Seconds transfer = analytic(network, kind, layout, endless).time * (bytes / endless);
  return std::max(Seconds(0), analytic(network, kind, layout, bytes).time - transfer);
}

// How much longer long vectors take than the links say, where that was measured over whole nodes: what other users of
// the fabric, its routing and its protocols take, which the topology does not show.
double measured_loss(const Network& network, CollectiveKind kind, const GroupLayout& layout) {
  Network undisturbed = network;
  undisturbed.scaling = {};
  undisturbed.congestion = 0;
  return std::max(1.0,
                  analytic(network, kind, layout, endless).time / analytic(undisturbed, kind, layout, endless).time);
}

class TrafficBuilder {
 public:
  TrafficBuilder(const Scenario& scenario, const Lowering& lowering, const Cluster& cluster)
      : scenario_(scenario),
        lowering_(lowering),
        cluster_(cluster),
        mesh_(scenario.strategy.mesh),
        flows_(cluster.topology, cluster.policy, scenario.profile.network),
        router_(cluster.topology, cluster.policy) {}

  LinkTraffic build() {
    LinkTraffic traffic;
    traffic.capacities = link_capacities(cluster_.topology);
    const auto& programs = lowering_.graph.programs;
    const auto receivers = receiving_programs();
    traffic.pattern_of.resize(programs.size());
    for (std::size_t p = 0; p < programs.size(); ++p)
      for (std::size_t i = 0; i < programs[p].tasks.size(); ++i)
        traffic.pattern_of[p].push_back(pattern(p, programs[p].tasks[i], receivers[p][i], traffic));
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
    TrafficPattern made = message ? of_message(program, std::get<TransferWork>(work), receiver)
                                  : of_chain(program, std::get<CollectiveChain>(work));
    const bool empty = std::all_of(made.steps.begin(), made.steps.end(), [](const auto& step) { return step.empty(); });
    if (empty) return known_[key] = -1;
    traffic.patterns.push_back(std::move(made));
    return known_[key] = static_cast<std::int32_t>(traffic.patterns.size()) - 1;
  }

  // Every rank of the stage sends to the one of its place in the next.
  TrafficPattern of_message(std::size_t program, const TransferWork& work, std::int32_t receiver) {
    TrafficPattern result;
    if (receiver < 0 || work.bytes <= Bytes(0)) return result;
    const Network& network = scenario_.profile.network;
    const std::vector<std::int64_t> from = stage_ranks(mesh_, static_cast<std::int64_t>(program));
    const std::vector<std::int64_t> to = stage_ranks(mesh_, receiver);
    std::vector<Flow> flows;
    for (std::size_t i = 0; i < from.size(); ++i) {
      const VertexId sender = gpu(from[i]);
      const VertexId target = gpu(to[i]);
      const auto route = router_.route(sender, target, number_++);
      SIM_CHECK(route.has_value(), "no way between ranks {} and {}", from[i], to[i]);
      const bool inside = cluster_.topology.vertex(sender).domain == cluster_.topology.vertex(target).domain;
      const Seconds latency = inside ? network.pair_latency : network.adapter_latency;
      flows.push_back({Time(), work.bytes, route->hops, Time::from_seconds(latency), network.pair_rate});
    }
    result.steps.push_back(std::move(flows));
    return result;
  }

  TrafficPattern of_chain(std::size_t program, const CollectiveChain& chain) {
    TrafficPattern result;
    if (scenario_.strategy.mesh.pipeline > 1 && holds_two_copies()) return result;
    for (const CollectiveWork& call : chain.calls) result.steps.push_back(of_call(program, call));
    if (chain.copies.moved > Bytes(0))
      result.after = Time::from_seconds(memory_bound_time(scenario_.profile.device, chain.copies.moved, 1).time);
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

  // All groups of the stage at once. Calls in a row are one transfer that waits for each call's latency.
  std::vector<Flow> of_call(std::size_t program, const CollectiveWork& call) {
    const Network& network = scenario_.profile.network;
    const CollectivePrice price = analytic(network, call.kind, call.group, call.bytes);
    const Bytes moved = call.bytes * (call.count * measured_loss(network, call.kind, call.group));
    GroupCall group{call.kind, {}, moved, price.algorithm, std::nullopt};
    group.latency = Time::from_seconds(fixed_part(network, call.kind, call.group, call.bytes) * call.count);
    std::vector<Flow> flows;
    for (const auto& ranks : groups_of(program, call.group)) {
      group.gpus.clear();
      for (const std::int64_t rank : ranks) group.gpus.push_back(gpu(rank));
      if (!flows_.applies(group, *group.algorithm)) group.algorithm = CollectiveAlgorithm::ring;
      const std::vector<Flow> more = flows_.flows(group, Time(), number_++);
      flows.insert(flows.end(), more.begin(), more.end());
    }
    return flows;
  }

  std::vector<std::vector<std::int64_t>> groups_of(std::size_t program, const GroupLayout& layout) const {
    if (layout.members != Communicator::tied_ends)
      return communicator_groups(mesh_, layout, static_cast<std::int64_t>(program));
    const auto [first, last] = lowering_.ends;
    return stage_pairs(mesh_, static_cast<std::int64_t>(first), static_cast<std::int64_t>(last));
  }

  VertexId gpu(std::int64_t rank) const { return cluster_.gpu_of[static_cast<std::size_t>(rank)]; }

  const Scenario& scenario_;
  const Lowering& lowering_;
  const Cluster& cluster_;
  const Mesh& mesh_;
  CollectiveFlows flows_;
  Router router_;
  std::uint64_t number_ = 0;
  std::map<std::tuple<std::size_t, WorkId, std::int32_t>, std::int32_t> known_;
};

// The kind of collective that the axis runs inside layers.
CollectiveKind kind_inside_layers(Axis axis) {
  return axis == Axis::expert ? CollectiveKind::all_to_all : CollectiveKind::all_gather;
}

using Groups = std::vector<std::vector<std::int64_t>>;

// All groups in one stage at once, over the analytic time of one.
double stretch_of(const Scenario& scenario, const GroupLayout& layout, const Cluster& cluster, CollectiveKind kind,
                  const Groups& groups) {
  const Network& network = scenario.profile.network;
  CollectiveFlows collectives(cluster.topology, cluster.policy, network);
  std::vector<Flow> flows;
  for (const auto& ranks : groups) {
    GroupCall call{kind, {}, endless * measured_loss(network, kind, layout), std::nullopt, Time()};
    call.algorithm = kind == CollectiveKind::all_to_all ? CollectiveAlgorithm::direct : CollectiveAlgorithm::ring;
    for (const std::int64_t rank : ranks) call.gpus.push_back(cluster.gpu_of[static_cast<std::size_t>(rank)]);
    const std::vector<Flow> more = collectives.flows(call, Time(), flows.size());
    flows.insert(flows.end(), more.begin(), more.end());
  }
  Time end;
  for (const Time time : completion_times(link_capacities(cluster.topology), flows)) end = std::max(end, time);
  return std::max(1.0, end.seconds() / analytic(network, kind, layout, endless).time);
}

// Of a grid's rows or columns, whichever suffer more.
double grid_stretch(const Scenario& scenario, const TensorGrid& grid, const Cluster& cluster) {
  const Mesh& mesh = scenario.strategy.mesh;
  double most = 1;
  for (const std::int64_t stride : {std::int64_t{1}, grid.side}) {
    Groups lines;
    for (const auto& ranks : axis_groups(mesh, Axis::tensor, 0))
      for (std::int64_t first = 0; first < mesh.tensor; ++first) {
        if (first / stride % grid.side != 0) continue;
        lines.emplace_back();
        for (std::int64_t i = 0; i < grid.side; ++i)
          lines.back().push_back(ranks[static_cast<std::size_t>(first + i * stride)]);
      }
    const std::int64_t on_node = axis_layout(mesh, Axis::tensor, scenario.profile.network.gpus_per_node).ranks_per_node;
    const GroupLayout line{grid.side, std::clamp<std::int64_t>(on_node / stride, 1, grid.side)};
    most = std::max(most, stretch_of(scenario, line, cluster, CollectiveKind::broadcast, lines));
  }
  return most;
}

}  // namespace

Cluster cluster_of(const Scenario& scenario) {
  const TopologySpec spec = with_defaults(scenario.profile.topology, scenario.profile.network);
  const std::int64_t gpus = std::max(scenario.gpus, scenario.cluster_gpus);
  Cluster cluster{build_topology(spec, gpus), {*spec.routing, spec.spread}, {}};
  cluster.gpu_of = place_ranks(cluster.topology, scenario.placement, scenario.gpus);
  return cluster;
}

LinkTraffic link_traffic(const Scenario& scenario, const Lowering& lowering, const Cluster& cluster) {
  return TrafficBuilder(scenario, lowering, cluster).build();
}

std::array<double, 5> axis_stretch(const Scenario& scenario, const Lowering& lowering, const Cluster& cluster) {
  std::array<double, 5> stretch{1, 1, 1, 1, 1};
  for (const Axis axis : {Axis::tensor, Axis::context, Axis::expert}) {
    const auto i = static_cast<std::size_t>(axis);
    const GroupLayout& group = lowering.kinds.front().groups[i];
    if (group.ranks <= 1) continue;
    const auto grid = axis == Axis::tensor ? tensor_grid(scenario.strategy) : std::nullopt;
    stretch[i] = grid ? grid_stretch(scenario, *grid, cluster)
                      : stretch_of(scenario, group, cluster, kind_inside_layers(axis),
                                   axis_groups(scenario.strategy.mesh, axis, 0));
  }
  return stretch;
}

}  // namespace echelon
