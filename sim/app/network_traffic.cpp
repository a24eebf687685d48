#include "sim/app/network_traffic.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <tuple>
#include <utility>

#include "sim/cost/collective.h"
#include "sim/cost/compute.h"
#include "sim/engine/collective_flows.h"
#include "sim/hardware/link_faults.h"
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
  TrafficBuilder(const Scenario& scenario, const Lowering& lowering, const Cluster& cluster, const Topology& ways)
      : scenario_(scenario),
        lowering_(lowering),
        cluster_(cluster),
        mesh_(scenario.strategy.mesh),
        flows_(cluster.topology, cluster.policy, scenario.profile.network, &ways),
        router_(ways, cluster.policy),
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
    OwnedFlows flows;
    for (std::size_t i = 0; i < from.size(); ++i) {
      const VertexId sender = gpu(from[i]);
      const VertexId target = gpu(to[i]);
      Route route = router_.way(sender, target, number_++);
      const bool inside = cluster_.topology.vertex(sender).domain == cluster_.topology.vertex(target).domain;
      const Seconds latency = inside ? network.pair_latency : network.adapter_latency;
      flows.add({Time(), work.bytes, std::move(route.hops), Time::from_seconds(latency), network.pair_rate},
                owner(stage_rank(from[i]), sender, target));
    }
    flows.move_to(result);
    return result;
  }

  TrafficPattern of_chain(std::size_t program, const CollectiveChain& chain) {
    TrafficPattern result;
    if (scenario_.strategy.mesh.pipeline > 1 && holds_two_copies()) return result;
    for (const CollectiveWork& call : chain.calls) of_call(program, call).move_to(result);
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
  OwnedFlows of_call(std::size_t program, const CollectiveWork& call) {
    const Network& network = scenario_.profile.network;
    const CollectivePrice price = analytic(network, call.kind, call.group, call.bytes);
    const Bytes moved = call.bytes * (call.count * measured_loss(network, call.kind, call.group));
    GroupCall group{call.kind, {}, moved, price.algorithm, std::nullopt};
    group.latency = Time::from_seconds(fixed_part(network, call.kind, call.group, call.bytes) * call.count);
    OwnedFlows flows;
    for (const auto& ranks : groups_of(program, call.group)) {
      group.gpus.clear();
      for (const std::int64_t rank : ranks) group.gpus.push_back(gpu(rank));
      if (!flows_.applies(group, *group.algorithm)) group.algorithm = CollectiveAlgorithm::ring;
      const auto first = static_cast<std::int32_t>(coordinates_of(mesh_, ranks.front()).tensor);
      for (Flow& flow : flows_.flows(group, Time(), number_++)) {
        const VertexId from = cluster_.topology.link(flow.route.front().link).from;
        const VertexId to = cluster_.topology.link(flow.route.back().link).to;
        if (call.group.members == Communicator::tied_ends && !sends(program, from)) continue;
        flows.add(std::move(flow), owner(first, from, to));
      }
    }
    return flows;
  }

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
      const std::vector<Flow> more = flows_.flows(call, Time(), number_++);
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

  // Of the engine, in its stage.
  std::int32_t stage_rank(std::int64_t rank) const {
    const Coordinates at = coordinates_of(mesh_, rank);
    return static_cast<std::int32_t>(at.tensor + mesh_.tensor * (at.context + mesh_.context * at.data));
  }

  std::int32_t engine_rank(std::int32_t rank) const {
    const std::int64_t width = mesh_.tensor * mesh_.context * mesh_.data;
    return static_cast<std::int32_t>(coordinates_of(mesh_, rank).pipeline * width + stage_rank(rank));
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
  std::vector<std::int32_t> rank_of_;  // by vertex; -1 = none sits there
  std::uint64_t number_ = 0;
  std::map<std::tuple<std::size_t, WorkId, std::int32_t>, std::int32_t> known_;
};

// The kind of collective that the axis runs inside layers.
CollectiveKind kind_inside_layers(Axis axis) {
  return axis == Axis::expert ? CollectiveKind::all_to_all : CollectiveKind::all_gather;
}

using Groups = std::vector<std::vector<std::int64_t>>;

// All groups in one stage at once, over the analytic time of one.
double stretch_of(const Scenario& scenario, const GroupLayout& layout, const Cluster& cluster, const Topology& ways,
                  CollectiveKind kind, const Groups& groups) {
  const Network& network = scenario.profile.network;
  CollectiveFlows collectives(cluster.topology, cluster.policy, network, &ways);
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

// The ranks that talk to each other in one stage: the axis's groups, or a grid's rows and its columns.
double stretch_of_stage(const Scenario& scenario, const GroupLayout& layout, const Cluster& cluster,
                        const Topology& ways, Axis axis, std::int64_t stage) {
  const Mesh& mesh = scenario.strategy.mesh;
  const Groups groups = axis_groups(mesh, axis, stage);
  const auto grid = axis == Axis::tensor ? tensor_grid(scenario.strategy) : std::nullopt;
  if (!grid) return stretch_of(scenario, layout, cluster, ways, kind_inside_layers(axis), groups);
  double most = 1;
  for (const std::int64_t stride : {std::int64_t{1}, grid->side}) {
    Groups lines;
    for (const auto& ranks : groups)
      for (std::int64_t first = 0; first < mesh.tensor; ++first) {
        if (first / stride % grid->side != 0) continue;
        lines.emplace_back();
        for (std::int64_t i = 0; i < grid->side; ++i)
          lines.back().push_back(ranks[static_cast<std::size_t>(first + i * stride)]);
      }
    const std::int64_t on_node = axis_layout(mesh, Axis::tensor, scenario.profile.network.gpus_per_node).ranks_per_node;
    const GroupLayout line{grid->side, std::clamp<std::int64_t>(on_node / stride, 1, grid->side)};
    most = std::max(most, stretch_of(scenario, line, cluster, ways, CollectiveKind::broadcast, lines));
  }
  return most;
}

// What is down may lie under any stage; without, the first stands for all.
double stretch_of_axis(const Scenario& scenario, const GroupLayout& layout, const Cluster& cluster,
                       const Topology& ways, Axis axis) {
  const std::int64_t stages = scenario.link_faults.empty() ? 1 : scenario.strategy.mesh.pipeline;
  double most = 1;
  for (std::int64_t stage = 0; stage < stages; ++stage)
    most = std::max(most, stretch_of_stage(scenario, layout, cluster, ways, axis, stage));
  return most;
}

// Runs `build`, whose flows all need a way on `ways`.
template <class Build>
auto with_cut_named(const Scenario& scenario, const Topology& ways, Build build) {
  try {
    return build();
  } catch (const NoWay& none) {
    SIM_CHECK(!scenario.link_faults.empty(), "{}", none.what());
    throw InputError(scenario.link_faults.front().where,
                     fmt::format("{}: cut by {}", none.what(), cut_of(ways, none.from)),
                     "expected links that leave every two ranks a way");
  }
}

// A job's nodes are the cluster's, and not this one's.
void check_background(const Scenario& scenario, const Cluster& cluster) {
  std::set<std::int64_t> there;
  for (const VertexId gpu : cluster.topology.gpus) there.insert(cluster.topology.vertex(gpu).node);
  std::set<std::int64_t> ours;
  for (const VertexId gpu : cluster.gpu_of) ours.insert(cluster.topology.vertex(gpu).node);
  for (const BackgroundJob& job : scenario.background)
    for (const std::int64_t node : job.nodes) {
      if (there.count(node) == 0)
        throw InputError(job.where, fmt::format("no node {} in a cluster of {}", node, there.size()),
                         fmt::format("expected 0 to {}, or a greater cluster.cluster_gpus", there.size() - 1));
      if (ours.count(node) > 0)
        throw InputError(job.where, fmt::format("node {} runs this scenario's own ranks", node),
                         "expected nodes that it leaves free (cluster.cluster_gpus, cluster.placement)");
    }
}

}  // namespace

Cluster cluster_of(const Scenario& scenario) {
  const TopologySpec spec = with_defaults(scenario.profile.topology, scenario.profile.network);
  const std::int64_t gpus = std::max(scenario.gpus, scenario.cluster_gpus);
  const Topology whole = build_topology(spec, gpus);
  Cluster cluster{with_faults(whole, scenario.link_faults, Time()), {*spec.routing, spec.spread}, {}, {}};
  cluster.gpu_of = place_ranks(cluster.topology, scenario.placement, scenario.gpus);
  std::set<Time> times;
  for (const LinkFault& fault : scenario.link_faults)
    if (fault.from > Time()) times.insert(fault.from);
  for (const Time time : times) cluster.later.push_back({time, with_faults(whole, scenario.link_faults, time)});
  check_background(scenario, cluster);
  return cluster;
}

LinkTraffic link_traffic(const Scenario& scenario, const Lowering& lowering, const Cluster& cluster) {
  const auto built_on = [&](const Topology& ways) {
    return with_cut_named(scenario, ways, [&] { return TrafficBuilder(scenario, lowering, cluster, ways).build(); });
  };
  LinkTraffic traffic = built_on(cluster.topology);
  for (const LaterWays& later : cluster.later) {
    LinkTraffic changed = built_on(later.topology);
    LaterRoutes routes{later.from, {}, std::move(changed.patterns), {}};
    for (const Link& link : later.topology.links) routes.down.push_back(!link.up);
    for (BackgroundTraffic& job : changed.background) routes.background.push_back(std::move(job.pattern));
    traffic.later.push_back(std::move(routes));
  }
  return traffic;
}

std::array<double, 5> axis_stretch(const Scenario& scenario, const Lowering& lowering, const Cluster& cluster,
                                   const Topology& ways) {
  std::array<double, 5> stretch{1, 1, 1, 1, 1};
  for (const Axis axis : {Axis::tensor, Axis::context, Axis::expert}) {
    const auto i = static_cast<std::size_t>(axis);
    const GroupLayout& group = lowering.kinds.front().groups[i];
    if (group.ranks <= 1) continue;
    stretch[i] = with_cut_named(scenario, ways, [&] { return stretch_of_axis(scenario, group, cluster, ways, axis); });
  }
  return stretch;
}

}  // namespace echelon
