#include "sim/app/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "sim/app/machines.h"
#include "sim/hardware/joined_topology.h"
#include "sim/hardware/link_faults.h"
#include "sim/hardware/placement.h"
#include "sim/hardware/topology_families.h"

namespace echelon {

namespace {

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

// `gpus`: of the machines, `job`: that the ranks take.
TopologyPart part_of(const Profile& profile, std::int64_t gpus, std::int64_t job, ByteRate node_rate) {
  TopologySpec spec = with_defaults(profile.topology, profile.network);
  const Network& network = profile.network;
  if (job > network.scale_up_gpus() && profile.topology.node.domain_gpus == 0)
    spec.node.domain_gpus = network.segment_gpus(job);
  const double nodes = static_cast<double>(gpus) / static_cast<double>(profile.network.gpus_per_node);
  return {build_topology(spec, gpus), {*spec.routing, spec.spread}, node_rate * nodes, spec.where};
}

// Groups of unlike machines, or one network of alike ones with room for the job.
JoinedTopology whole_of(const Scenario& scenario) {
  if (scenario.machines() == 1) {
    TopologyPart alone =
        part_of(scenario.profile, std::max(scenario.gpus, scenario.cluster_gpus), scenario.gpus, ByteRate(0));
    return {std::move(alone.topology), alone.policy};
  }
  std::vector<TopologyPart> parts;
  for (std::size_t machine = 0; machine < scenario.machines(); ++machine) {
    const Network bridge = bridge_network(scenario, machine);
    const std::int64_t gpus = scenario.machine_gpus(machine);
    parts.push_back(
        part_of(scenario.machine(machine), gpus, gpus, bridge.adapter_rate * static_cast<double>(bridge.adapters)));
  }
  return join_parts(parts);
}

}  // namespace

Cluster cluster_of(const Scenario& scenario) {
  const JoinedTopology whole = whole_of(scenario);
  Cluster cluster{with_faults(whole.topology, scenario.link_faults, Time()), whole.policy, {}, {}};
  cluster.gpu_of = place_ranks(cluster.topology, scenario.placement, scenario.gpus);
  std::set<Time> times;
  for (const LinkFault& fault : scenario.link_faults)
    if (fault.from > Time()) times.insert(fault.from);
  for (const Time time : times)
    cluster.later.push_back({time, with_faults(whole.topology, scenario.link_faults, time)});
  check_background(scenario, cluster);
  return cluster;
}

void refuse_cut(const Scenario& scenario, const Topology& ways, const NoWay& none) {
  SIM_CHECK(!scenario.link_faults.empty(), "{}", none.what());
  throw InputError(scenario.link_faults.front().where,
                   fmt::format("{}: cut by {}", none.what(), cut_of(ways, none.from)),
                   "expected links that leave every two ranks a way");
}

}  // namespace echelon
