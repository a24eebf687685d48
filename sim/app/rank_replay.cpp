#include "sim/app/rank_replay.h"

#include <algorithm>
#include <map>
#include <thread>

#include "sim/app/machines.h"
#include "sim/app/rank_order.h"
#include "sim/app/statistics.h"
#include "sim/cost/collective.h"

namespace echelon {

namespace {

// What one run leaves behind.
struct RunSummary {
  Time end;
  double least_idle = 0;
  double mean_idle = 0;
  std::optional<PaceSetter> pace;
  std::optional<LinkPace> link;
};

RunSummary summary_of(const FullTimeline& timeline) {
  RunSummary summary;
  summary.end = timeline.end;
  summary.pace = timeline.pace;
  summary.link = timeline.link;
  Time sum;
  Time least = Time::max();
  for (const Time idle : timeline.rank_idle) {
    sum += idle;
    least = std::min(least, idle);
  }
  summary.least_idle = least.seconds() / timeline.end.seconds();
  summary.mean_idle = sum.seconds() / timeline.end.seconds() / static_cast<double>(timeline.rank_idle.size());
  return summary;
}

bool spans_nodes(const GroupLayout& group) {
  return group.ranks > group.ranks_per_node;
}

// What of a work's time a slow GPU and a slow NIC stretch. Collectives inside a layer count by what of them shows: what
// compute hid of them stays hidden. Copies around collectives and transfers inside a node take as long everywhere.
class PartsOfWork {
 public:
  PartsOfWork(const Scenario& scenario, const PricedLowering& priced) : priced_(priced), networks_(scenario) {}

  WorkParts of(std::size_t index) const {
    const Work& work = priced_.lowering.works[index];
    const Price& price = priced_.prices.by_work[index];
    const auto kind = static_cast<std::size_t>(priced_.lowering.sites[index].kind);
    const std::array<GroupLayout, 5>& groups = priced_.lowering.kinds[kind].groups;
    Seconds links;
    if (const auto* chain = std::get_if<CollectiveChain>(&work)) {
      for (const CollectiveWork& call : chain->calls)
        if (spans_nodes(call.group))
          links += time_of(call, networks_.of(priced_.prices.machines[index], call.group.bridges));
    } else if (const auto* transfer = std::get_if<TransferWork>(&work)) {
      if (!transfer->same_node) links = price.device();
    } else {
      for (std::size_t axis = 0; axis < groups.size(); ++axis)
        if (spans_nodes(groups[axis])) links += price.exposed[axis];
      for (const LayerTraffic& sent : price.traffic)
        if (spans_nodes(groups[static_cast<std::size_t>(sent.axis)])) links -= sent.exposed;
    }
    return {Time::from_seconds(price.compute + price.recompute), Time::from_seconds(links)};
  }

 private:
  static Seconds time_of(const CollectiveWork& call, const Network& network) {
    return collective_time(network, {call.kind, shape_of(call.group), call.bytes}).time * call.count;
  }

  const PricedLowering& priced_;
  MachineNetworks networks_;
};

RankPlace place_of(const Mesh& mesh, std::int64_t engine_rank) {
  std::int64_t stage = 0;
  std::int64_t inside = engine_rank;
  for (; inside >= stage_width(mesh, stage); ++stage) inside -= stage_width(mesh, stage);
  const std::int64_t tensor = tensor_degree(mesh, stage);
  const Coordinates at{inside / (tensor * mesh.context), inside % tensor, stage, inside / tensor % mesh.context};
  return {rank_at(mesh, at), at.data, at.tensor, at.pipeline, at.context};
}

RankVariation variation_of(const Scenario& scenario) {
  const Mesh& mesh = scenario.strategy.mesh;
  RankVariation variation{scenario.variability, scenario.faults};
  for (RankFault& fault : variation.faults) fault.rank = engine_rank_at(mesh, coordinates_of(mesh, fault.rank));
  return variation;
}

// Thread i takes runs i, i + threads, ...; no run depends on another.
std::vector<RunSummary> all_runs(const FullReplay& replay, const RankVariation& variation, int threads) {
  std::vector<RunSummary> runs(static_cast<std::size_t>(variation.variability.runs));
  const std::size_t workers = std::min(runs.size(), static_cast<std::size_t>(threads));
  const auto work = [&](std::size_t worker) {
    for (std::size_t run = worker; run < runs.size(); run += workers)
      runs[run] = summary_of(replay.run(variation, static_cast<std::int64_t>(run)));
  };
  std::vector<std::jthread> helpers;
  for (std::size_t worker = 1; worker < workers; ++worker) helpers.emplace_back(work, worker);
  work(0);
  helpers.clear();
  return runs;
}

std::optional<Pace> pace_of(const std::vector<RunSummary>& runs, const TaskGraph& graph, const Mesh& mesh) {
  struct Tally {
    std::int64_t runs = 0;
    PaceSetter most;
  };
  std::map<std::int64_t, Tally> by_rank;
  for (const RunSummary& run : runs) {
    if (!run.pace) continue;
    Tally& tally = by_rank[run.pace->rank];
    ++tally.runs;
    if (run.pace->lost > tally.most.lost) tally.most = *run.pace;
  }
  const Tally* chosen = nullptr;
  for (const auto& [rank, tally] : by_rank)
    if (chosen == nullptr || tally.runs > chosen->runs) chosen = &tally;
  if (chosen == nullptr) return std::nullopt;
  const PaceSetter& most = chosen->most;
  return Pace{place_of(mesh, most.rank), most.lost.seconds(), describe(graph, most.task), most.delay.seconds(),
              chosen->runs};
}

// The link that held back the critical chain of most runs.
std::optional<PacingLink> link_of(const std::vector<RunSummary>& runs, const Topology& topology) {
  std::map<LinkId, PacingLink> by_link;
  for (const RunSummary& run : runs) {
    if (!run.link) continue;
    const Link& link = topology.link(run.link->link);
    PacingLink& entry = by_link[run.link->link];
    entry.from = topology.vertex(link.from).name;
    entry.to = topology.vertex(link.to).name;
    entry.held = std::max(entry.held, run.link->held.seconds());
    ++entry.runs;
  }
  const auto most = std::max_element(by_link.begin(), by_link.end(), [](const auto& one, const auto& other) {
    return one.second.runs < other.second.runs;
  });
  return most == by_link.end() ? std::nullopt : std::optional(most->second);
}

}  // namespace

RankReplay replay_ranks(const Scenario& scenario, const PricedLowering& priced, int threads) {
  const Lowering& lowering = priced.lowering;
  const Mesh& mesh = scenario.strategy.mesh;
  const ReplayOptions& options = priced.options;
  const PartsOfWork stretched(scenario, priced);
  std::vector<WorkParts> parts;
  for (std::size_t i = 0; i < lowering.works.size(); ++i) parts.push_back(stretched.of(i));
  const auto plan = std::get<ReplayPlan>(plan_replay(lowering.graph, options));
  const FullReplay replay(lowering.graph, plan, priced.prices.times, parts, stage_layouts(mesh), options);
  const std::vector<RunSummary> runs = all_runs(replay, variation_of(scenario), threads);

  RankReplay result;
  result.ranks = mesh.ranks();
  result.runs = std::ssize(runs);
  result.alike = priced.alike.seconds();
  std::vector<double> ends;
  for (const RunSummary& run : runs) {
    ends.push_back(run.end.seconds().value());
    result.least_idle += run.least_idle / static_cast<double>(runs.size());
    result.mean_idle += run.mean_idle / static_cast<double>(runs.size());
  }
  result.p5 = Seconds(*percentile(ends, 0.05));
  result.p50 = Seconds(*percentile(ends, 0.50));
  result.p95 = Seconds(*percentile(ends, 0.95));
  result.pace = pace_of(runs, lowering.graph, mesh);
  if (priced.network != nullptr) result.link = link_of(runs, priced.network->cluster.topology);
  return result;
}

}  // namespace echelon
