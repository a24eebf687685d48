#include "sim/app/inside_layers.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "sim/app/machine_flows.h"
#include "sim/app/machines.h"
#include "sim/app/network_traffic.h"
#include "sim/app/rank_order.h"
#include "sim/cost/collective.h"
#include "sim/cost/dispatch.h"
#include "sim/hardware/rings.h"
#include "strategies/lowering/rank_kinds.h"

namespace echelon {

namespace {

constexpr Bytes unit{1e9};  // of a vector, for what grows with it

using Groups = std::vector<std::vector<std::int64_t>>;

// The kind of collective that the axis runs inside layers.
CollectiveKind kind_inside_layers(Axis axis) {
  return axis == Axis::expert ? CollectiveKind::all_to_all : CollectiveKind::all_gather;
}

CollectiveAlgorithm algorithm_of(CollectiveKind kind) {
  return kind == CollectiveKind::all_to_all || kind == CollectiveKind::send_receive ? CollectiveAlgorithm::direct
                                                                                    : CollectiveAlgorithm::ring;
}

std::vector<VertexId> gpus_of(const Cluster& cluster, const std::vector<std::int64_t>& ranks) {
  std::vector<VertexId> gpus;
  for (const std::int64_t rank : ranks) gpus.push_back(cluster.gpu_of[static_cast<std::size_t>(rank)]);
  return gpus;
}

// Of each group, every `count` members that are `stride` apart.
Groups lines_of(const Groups& groups, std::int64_t count, std::int64_t stride) {
  Groups lines;
  for (const auto& ranks : groups)
    for (std::int64_t first = 0; first < std::ssize(ranks); ++first) {
      if (first / stride % count != 0) continue;
      lines.emplace_back();
      for (std::int64_t i = 0; i < count; ++i)
        lines.back().push_back(ranks[static_cast<std::size_t>(first + i * stride)]);
    }
  return lines;
}

// Ranks of one kind on one machine, and the collectives of one axis inside their layers.
struct AxisSite {
  const Scenario& scenario;
  const Cluster& cluster;
  const Topology& ways;
  std::vector<std::int64_t> stages;  // of the kind, those that are looked at
  const GroupLayout& layout;
  std::int32_t machine = 0;
  Axis axis = Axis::tensor;

  const Mesh& mesh() const { return scenario.strategy.mesh; }
  const Network& network() const { return scenario.machine(static_cast<std::size_t>(machine)).network; }
};

// Groups whose first rank is on the site's machine.
Groups on_machine(const AxisSite& site, Groups groups) {
  const Placement placement = placement_of(site.scenario);
  std::erase_if(groups, [&](const auto& ranks) { return machine_of(placement, ranks.front()) != site.machine; });
  return groups;
}

// All groups in one stage at once, over the analytic time of one.
double stretch_of(const AxisSite& site, const GroupLayout& layout, CollectiveKind kind, const Groups& groups) {
  const Network& network = site.network();
  CollectiveFlows collectives(site.cluster.topology, site.cluster.policy, network, &site.ways);
  std::vector<Flow> flows;
  for (const auto& ranks : groups) {
    const GroupCall call{kind, gpus_of(site.cluster, ranks), unit * measured_loss(network, kind, layout),
                         algorithm_of(kind), Time()};
    const std::vector<Flow> more = collectives.flows(call, Time(), flows.size());
    flows.insert(flows.end(), more.begin(), more.end());
  }
  Time end;
  for (const Time time : completion_times(link_capacities(site.cluster.topology), flows)) end = std::max(end, time);
  const Seconds alone = transfer_part(network, {kind, shape_of(layout), unit});
  return std::max(1.0, end.seconds() / alone);
}

// The ranks that talk to each other in one stage: the axis's groups, or a grid's rows and its columns.
double stretch_of_stage(const AxisSite& site, std::int64_t stage) {
  const Mesh& mesh = site.mesh();
  const Groups groups = on_machine(site, axis_groups(mesh, site.axis, stage));
  const auto grid = site.axis == Axis::tensor ? tensor_grid(site.scenario.strategy) : std::nullopt;
  if (!grid) return stretch_of(site, site.layout, kind_inside_layers(site.axis), groups);
  double most = 1;
  for (const std::int64_t stride : {std::int64_t{1}, grid->side}) {
    const Groups lines = lines_of(groups, grid->side, stride);
    const std::int64_t on_node = axis_layout(mesh, Axis::tensor, site.network().gpus_per_node).ranks_per_node;
    const GroupLayout line{grid->side, std::clamp<std::int64_t>(on_node / stride, 1, grid->side)};
    most = std::max(most, stretch_of(site, line, CollectiveKind::broadcast, lines));
  }
  return most;
}

// What is down may lie under any stage; without, the first of a kind stands for all, and of one that lies on several
// machines, which is alone in its kind.
double stretch_of_axis(const AxisSite& site) {
  double most = 1;
  for (const std::int64_t stage : site.stages) {
    most = std::max(most, stretch_of_stage(site, stage));
    if (site.scenario.link_faults.empty()) break;
  }
  return most;
}

// Whether any group of the axis leaves its scale-up domain.
bool leaves_domain(const AxisSite& site) {
  for (const std::int64_t stage : site.stages)
    for (const auto& ranks : axis_groups(site.mesh(), site.axis, stage))
      if (members_by_domain(site.cluster.topology, gpus_of(site.cluster, ranks)).size() > 1) return true;
  return false;
}

LinksInside links_of(const Scenario& scenario, const Lowering& lowering, const Cluster& cluster, const Topology& ways,
                     std::size_t kind, std::int32_t machine) {
  LinksInside links;
  std::vector<std::int64_t> stages;
  for (std::size_t program = 0; program < lowering.kind_of.size(); ++program)
    if (lowering.kind_of[program] == static_cast<std::int32_t>(kind))
      stages.push_back(static_cast<std::int64_t>(program));
  for (const Axis axis : {Axis::tensor, Axis::context, Axis::expert}) {
    const auto i = static_cast<std::size_t>(axis);
    const GroupLayout& group = lowering.kinds[kind].groups[i];
    if (group.ranks <= 1) continue;
    const AxisSite site{scenario, cluster, ways, stages, group, machine, axis};
    links.on_links[i] = leaves_domain(site);
    if (!links.on_links[i]) links.stretch[i] = stretch_of_axis(site);
  }
  return links;
}

// What one rank sends of a vector of `unit` bytes: all that its edges of the collective send, as one flow.
struct Sender {
  std::int32_t group = 0;  // FlowOwner::group
  std::int32_t rank = -1;  // of the engine; -1 where nothing leaves its domain
  Bytes bytes;
  Time latency;
  std::vector<Hop> hops;
};
class LayerFlowBuilder {
 public:
  LayerFlowBuilder(const Scenario& scenario, const Lowering& lowering, const WorkPrices& prices, const Cluster& cluster,
                   const Topology& ways)
      : lowering_(lowering),
        prices_(prices),
        cluster_(cluster),
        mesh_(scenario.strategy.mesh),
        flows_(scenario, cluster, ways),
        rank_of_(cluster.topology.vertices.size(), -1) {
    for (std::size_t rank = 0; rank < cluster.gpu_of.size(); ++rank)
      rank_of_[static_cast<std::size_t>(cluster.gpu_of[rank])] = static_cast<std::int64_t>(rank);
  }

  void add_to(LinkTraffic& traffic) {
    const auto& programs = lowering_.graph.programs;
    traffic.layers_of.resize(programs.size());
    for (std::size_t p = 0; p < programs.size(); ++p)
      for (const Task& task : programs[p].tasks) {
        const bool sends = !price_of(task.work).traffic.empty();
        SIM_CHECK(!sends || scope_of(task.kind) == TaskScope::lockstep, "layers of a {} send", name_of(task.kind));
        traffic.layers_of[p].push_back(sends ? layers_of(p, task.work, traffic) : -1);
      }
  }

 private:
  // A task's layers take turns. One by one would be exact, and cost as many more flows: 16 turns move the iterations of
  // Mixtral 8x22B and of Llama 3.1 70B with 16 tensor ranks by 0.05 % from those of 4, 1 turn by 0.5 %.
  static constexpr double most_turns = 4;

  std::int32_t layers_of(std::size_t program, WorkId work, LinkTraffic& traffic) {
    const auto [known, fresh] = known_.emplace(std::pair(program, work), -1);
    if (!fresh) return known->second;
    double layers = 0;
    for (const LayerRun& run : std::get<ComputeWork>(lowering_.works[static_cast<std::size_t>(work)]).runs)
      layers += run.count;
    const double turns = std::clamp(std::round(layers), 1.0, most_turns);
    TrafficPattern pattern;
    for (const LayerTraffic& sent : price_of(work).traffic)
      add_step(program, prices_.machines[static_cast<std::size_t>(work)], sent.scaled(1 / turns), pattern);
    LayerFlows result{static_cast<std::int32_t>(traffic.patterns.size()), turns_of(work, turns)};
    traffic.patterns.push_back(std::move(pattern));
    traffic.layers.push_back(std::move(result));
    return known->second = static_cast<std::int32_t>(traffic.layers.size()) - 1;
  }

  // Compute that hides nothing goes before each step in equal parts.
  std::vector<LayerTurn> turns_of(WorkId work, double turns) const {
    const Price& price = price_of(work);
    Seconds device = price.device();
    for (const LayerTraffic& sent : price.traffic) device -= sent.exposed;
    std::vector<LayerTurn> result;
    double hidden = 0;
    for (std::size_t step = 0; step < price.traffic.size(); ++step) {
      const LayerTraffic& sent = price.traffic[step];
      const double beside = device > Seconds(0) ? (sent.transfer - sent.exposed) / (device * turns) : 0;
      result.push_back({0, beside, step});
      hidden += beside;
    }
    const double before = std::max(0.0, 1 / turns - hidden) / static_cast<double>(result.size());
    for (LayerTurn& turn : result) turn.before = before;
    const std::vector<LayerTurn> once = result;
    for (double turn = 1; turn < turns; ++turn) result.insert(result.end(), once.begin(), once.end());
    return result;
  }

  void add_step(std::size_t program, std::int32_t machine, const LayerTraffic& sent, TrafficPattern& pattern) {
    std::vector<Flow> flows;
    std::vector<FlowOwner> owners;
    const GroupLayout& layout = layout_of(program, sent.axis);
    const Network& network = flows_.network(machine, layout.bridges);
    const double units = sent.bytes * measured_loss(network, sent.kind, layout) / unit;
    for (const Sender& sender : senders(program, machine, sent)) {
      const Bytes bytes = sender.bytes * units;
      const ByteRate cap = sent.transfer > Seconds(0) ? ByteRate(bytes.value() / sent.transfer.value()) : ByteRate(0);
      flows.push_back({Time(), bytes, sender.hops, Time::from_seconds(sender.latency.seconds() * sent.calls), cap});
      owners.push_back({sender.group, sender.rank, sender.rank});
    }
    pattern.steps.push_back(std::move(flows));
    pattern.owners.push_back(std::move(owners));
  }

  // Of all groups of the stage, by FlowOwner::group.
  const std::vector<Sender>& senders(std::size_t program, std::int32_t machine, const LayerTraffic& sent) {
    const auto key = std::make_tuple(program, machine, sent.axis, sent.part, sent.ranks, sent.stride, sent.kind);
    const auto [known, fresh] = senders_.try_emplace(key);
    if (!fresh) return known->second;
    std::vector<Sender>& result = known->second;
    CollectiveFlows& collectives = flows_.collectives(machine, layout_of(program, sent.axis).bridges);
    const RankLayout ranks_of_stage = rank_layout(mesh_, static_cast<std::int64_t>(program));
    for (const auto& ranks : groups_of(program, machine, sent))
      add_group(ranks, sent.kind, ranks_of_stage, collectives, result);
    std::stable_sort(result.begin(), result.end(), [](const Sender& a, const Sender& b) { return a.group < b.group; });
    return result;
  }

  Groups groups_of(std::size_t program, std::int32_t machine, const LayerTraffic& sent) {
    const auto stage = static_cast<std::int64_t>(program);
    const GroupLayout& layout = layout_of(program, sent.axis);
    if (sent.ranks > layout.ranks) return lines_of({stage_ranks(mesh_, stage)}, sent.ranks, 1);
    const Groups groups = axis_groups(mesh_, sent.axis, stage);
    const std::int64_t near = ranks_within_reach(layout, flows_.network(machine, layout.bridges));
    if (sent.part == GroupPart::inside_node) return lines_of(groups, near, 1);
    if (sent.part == GroupPart::across_nodes) return lines_of(groups, layout.ranks / near, near);
    return sent.ranks > 0 ? lines_of(groups, sent.ranks, sent.stride) : groups;
  }

  void add_group(const std::vector<std::int64_t>& ranks, CollectiveKind kind, const RankLayout& ranks_of_stage,
                 CollectiveFlows& collectives, std::vector<Sender>& all) {
    if (ranks.size() < 2) return;
    const GroupCall call{kind, gpus_of(cluster_, ranks), unit, algorithm_of(kind), Time()};
    std::map<std::int64_t, std::vector<Flow>> by_rank;
    for (Flow& flow : collectives.flows(call, Time(), number_++)) {
      const VertexId from = cluster_.topology.link(flow.route.front().link).from;
      by_rank[rank_of_[static_cast<std::size_t>(from)]].push_back(std::move(flow));
    }
    for (const auto& [rank, flows] : by_rank) all.push_back(sender(rank, ranks_of_stage, flows));
  }

  Sender sender(std::int64_t rank, const RankLayout& ranks_of_stage, const std::vector<Flow>& flows) const {
    const Coordinates at = coordinates_of(mesh_, rank);
    Sender result;
    const auto place = static_cast<std::size_t>(stage_rank_at(mesh_, at));
    result.group = static_cast<std::int32_t>(group_of(ranks_of_stage, TaskScope::lockstep, place).first);
    std::map<LinkId, double> share;
    for (const Flow& flow : flows) {
      result.bytes += flow.bytes;
      result.latency = std::max(result.latency, flow.latency);
      for (const Hop& hop : flow.route)
        if (!inside(hop.link)) share[hop.link] += hop.share * flow.bytes.value();
    }
    for (const auto& [link, bytes] : share) result.hops.push_back({link, bytes / result.bytes.value()});
    if (!result.hops.empty()) result.rank = static_cast<std::int32_t>(engine_rank_at(mesh_, at));
    return result;
  }

  const Price& price_of(WorkId work) const { return prices_.by_work[static_cast<std::size_t>(work)]; }

  const GroupLayout& layout_of(std::size_t program, Axis axis) const {
    const auto kind = static_cast<std::size_t>(lowering_.kind_of[program]);
    return lowering_.kinds[kind].groups[static_cast<std::size_t>(axis)];
  }

  bool inside(LinkId id) const {
    const Vertex& from = cluster_.topology.vertex(cluster_.topology.link(id).from);
    const Vertex& to = cluster_.topology.vertex(cluster_.topology.link(id).to);
    const bool one_node = from.node != shared_by_nodes && from.node == to.node;
    return one_node || from.kind == VertexKind::scale_up_switch || to.kind == VertexKind::scale_up_switch;
  }

  const Lowering& lowering_;
  const WorkPrices& prices_;
  const Cluster& cluster_;
  const Mesh& mesh_;
  MachineFlows flows_;
  std::vector<std::int64_t> rank_of_;  // by vertex; -1 = none sits there
  std::uint64_t number_ = 0;
  std::map<std::pair<std::size_t, WorkId>, std::int32_t> known_;
  std::map<std::tuple<std::size_t, std::int32_t, Axis, GroupPart, std::int64_t, std::int64_t, CollectiveKind>,
           std::vector<Sender>>
      senders_;
};

}  // namespace

std::vector<LinksInside> links_inside(const Scenario& scenario, const Lowering& lowering, const Cluster& cluster,
                                      const Topology& ways) {
  const auto machines = static_cast<std::int32_t>(scenario.machines());
  std::vector<LinksInside> links;
  try {
    for (std::size_t kind = 0; kind < lowering.kinds.size(); ++kind) {
      const std::vector<std::int32_t>& there = lowering.kinds[kind].machines;
      for (std::int32_t machine = 0; machine < machines; ++machine)
        links.push_back(std::find(there.begin(), there.end(), machine) != there.end()
                            ? links_of(scenario, lowering, cluster, ways, kind, machine)
                            : LinksInside());
    }
  } catch (const NoWay& none) {
    refuse_cut(scenario, ways, none);
  }
  return links;
}

void add_layer_flows(const Scenario& scenario, const Lowering& lowering, const WorkPrices& prices,
                     const Cluster& cluster, const Topology& ways, LinkTraffic& traffic) {
  const auto sends_nothing = [](const Price& price) { return price.traffic.empty(); };
  if (std::all_of(prices.by_work.begin(), prices.by_work.end(), sends_nothing)) return;
  LayerFlowBuilder(scenario, lowering, prices, cluster, ways).add_to(traffic);
}

}  // namespace echelon
