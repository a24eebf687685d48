#include "sim/hardware/rings.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <numeric>
#include <utility>

namespace echelon {

namespace {

// From one GPU to another, by the first.
using GpuLinks = std::multimap<VertexId, const Link*>;

GpuLinks links_between_gpus(const Topology& topology) {
  GpuLinks links;
  for (const Link& link : topology.links)
    if (link.up && topology.vertex(link.from).kind == VertexKind::gpu &&
        topology.vertex(link.to).kind == VertexKind::gpu)
      links.emplace(link.from, &link);
  return links;
}

// Direct links between members, counted in the bandwidth of the narrowest.
using LinkCounts = std::vector<std::vector<int>>;

LinkCounts direct_links(const GpuLinks& all, const DomainMembers& members) {
  std::map<VertexId, std::size_t> place;
  for (std::size_t i = 0; i < members.size(); ++i) place.emplace(members[i], i);
  std::vector<const Link*> between;
  ByteRate narrowest;
  for (const VertexId member : members)
    for (auto [link, end] = all.equal_range(member); link != end; ++link) {
      if (place.count(link->second->to) == 0) continue;
      between.push_back(link->second);
      if (narrowest == ByteRate(0) || between.back()->bandwidth < narrowest) narrowest = between.back()->bandwidth;
    }
  LinkCounts counts(members.size(), std::vector<int>(members.size(), 0));
  for (const Link* link : between)
    counts[place.at(link->from)][place.at(link->to)] += static_cast<int>(std::lround(link->bandwidth / narrowest));
  return counts;
}

// Depth-first search for a cycle through all members over links that are left, widest first.
class CycleSearch {
 public:
  explicit CycleSearch(const LinkCounts& left) : left_(left), visited_(left.size(), false) {}

  // Member numbers along the cycle; empty where there is none, or none within the steps that the search may take.
  std::vector<std::size_t> run() {
    path_ = {0};
    visited_[0] = true;
    return extend() ? path_ : std::vector<std::size_t>{};
  }

 private:
  // As deep as a domain has members.
  bool extend() {
    constexpr int most_steps = 200'000;
    if (++steps_ > most_steps) return false;
    const std::vector<int>& row = left_[path_.back()];
    if (path_.size() == left_.size()) return row[0] > 0;
    std::vector<std::size_t> next(row.size());
    std::iota(next.begin(), next.end(), 0);
    std::stable_sort(next.begin(), next.end(), [&](std::size_t a, std::size_t b) { return row[a] > row[b]; });
    for (const std::size_t member : next) {
      if (row[member] == 0) return false;
      if (visited_[member]) continue;
      visited_[member] = true;
      path_.push_back(member);
      if (extend()) return true;
      path_.pop_back();
      visited_[member] = false;
    }
    return false;
  }

  const LinkCounts& left_;
  std::vector<bool> visited_;
  std::vector<std::size_t> path_;
  int steps_ = 0;
};

// Takes the cycle's links as often as its narrowest edge allows; how often that was.
int take(const std::vector<std::size_t>& cycle, LinkCounts& left) {
  const auto next = [&](std::size_t i) { return cycle[(i + 1) % cycle.size()]; };
  int times = left[cycle[0]][next(0)];
  for (std::size_t i = 0; i < cycle.size(); ++i) times = std::min(times, left[cycle[i]][next(i)]);
  for (std::size_t i = 0; i < cycle.size(); ++i) {
    left[cycle[i]][next(i)] -= times;
    left[next(i)][cycle[i]] -= times;
  }
  return times;
}

// Cyclic orders of a domain's members: the cycles of its mesh, or the order of the ranks alone where it is none.
std::vector<DomainMembers> domain_cycles(const GpuLinks& links, const DomainMembers& members) {
  if (members.size() <= 2) return {members};
  std::vector<DomainMembers> cycles;
  LinkCounts left = direct_links(links, members);
  for (auto cycle = CycleSearch(left).run(); !cycle.empty(); cycle = CycleSearch(left).run()) {
    DomainMembers there;
    for (const std::size_t member : cycle) there.push_back(members[member]);
    const DomainMembers back(there.rbegin(), there.rend());
    for (int times = take(cycle, left); times > 0; --times) {
      cycles.push_back(there);
      cycles.push_back(back);
    }
  }
  if (cycles.empty()) cycles.push_back(members);
  return cycles;
}

// `cycle` from `first` on, if it is in it, else from the place of that number.
DomainMembers rotated(DomainMembers cycle, VertexId first, std::size_t otherwise) {
  auto start = std::find(cycle.begin(), cycle.end(), first);
  if (start == cycle.end()) start = cycle.begin() + static_cast<std::ptrdiff_t>(otherwise % cycle.size());
  std::rotate(cycle.begin(), start, cycle.end());
  return cycle;
}

}  // namespace

std::vector<DomainMembers> members_by_domain(const Topology& topology, const std::vector<VertexId>& ranks) {
  std::vector<DomainMembers> result;
  std::map<std::int32_t, std::size_t> place;
  for (const VertexId rank : ranks) {
    const Vertex& gpu = topology.vertex(rank);
    const std::int32_t domain = gpu.domain >= 0 ? gpu.domain : -2 - rank;  // alone
    const auto [found, fresh] = place.emplace(domain, result.size());
    if (fresh) result.emplace_back();
    result[found->second].push_back(rank);
  }
  return result;
}

std::vector<std::vector<VertexId>> rings(const Topology& topology, const std::vector<VertexId>& ranks) {
  const std::vector<DomainMembers> domains = members_by_domain(topology, ranks);
  const GpuLinks links = links_between_gpus(topology);
  std::vector<std::vector<DomainMembers>> cycles;
  std::size_t cycle_count = 1;
  for (const DomainMembers& members : domains) {
    cycles.push_back(domain_cycles(links, members));
    cycle_count = std::max(cycle_count, cycles.back().size());
  }
  if (domains.size() == 1) return cycles.front();
  std::size_t entries = domains.front().size();  // where rings enter a domain
  for (const DomainMembers& members : domains) entries = std::min(entries, members.size());
  std::vector<std::vector<VertexId>> result;
  for (std::size_t cycle = 0; cycle < cycle_count; ++cycle)
    for (std::size_t entry = 0; entry < entries; ++entry) {
      std::vector<VertexId> ring;
      for (std::size_t d = 0; d < domains.size(); ++d) {
        const std::size_t place = entry * domains[d].size() / entries;
        const DomainMembers part = rotated(cycles[d][cycle % cycles[d].size()], domains[d][place], place);
        ring.insert(ring.end(), part.begin(), part.end());
      }
      result.push_back(std::move(ring));
    }
  return result;
}

}  // namespace echelon
