#include "sim/hardware/joined_topology.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/hardware/topology_families.h"

namespace echelon {

namespace {

// One more than the greatest number of a node or domain.
template <class Number>
std::int32_t count_of(const Topology& topology, const Number& number) {
  std::int32_t count = 0;
  for (const Vertex& vertex : topology.vertices) count = std::max(count, number(vertex) + 1);
  return count;
}

std::int32_t moved(std::int32_t number, std::int32_t by) {
  return number < 0 ? number : number + by;
}

// Adds the part's vertices and links behind those that are there.
void append(const Topology& part, const std::string& prefix, bool by_rails, Topology& whole) {
  const auto first = static_cast<VertexId>(whole.vertices.size());
  const std::int32_t nodes = count_of(whole, [](const Vertex& vertex) { return vertex.node; });
  const std::int32_t domains = count_of(whole, [](const Vertex& vertex) { return vertex.domain; });
  for (Vertex vertex : part.vertices) {
    vertex.name = prefix + vertex.name;
    vertex.node = moved(vertex.node, nodes);
    vertex.domain = moved(vertex.domain, domains);
    if (!by_rails) vertex.rail = -1;
    whole.vertices.push_back(std::move(vertex));
  }
  for (Link link : part.links) {
    link.from += first;
    link.to += first;
    whole.links.push_back(link);
  }
  for (const VertexId gpu : part.gpus) whole.gpus.push_back(gpu + first);
  whole.gpus_forward |= part.gpus_forward;
}

// Network switches that are farthest from the nodes.
std::vector<VertexId> topmost(const Topology& part) {
  std::vector<VertexId> top;
  std::int32_t highest = 0;
  for (std::size_t id = 0; id < part.vertices.size(); ++id) {
    const Vertex& vertex = part.vertices[id];
    if (vertex.kind != VertexKind::network_switch || vertex.tier < highest) continue;
    if (vertex.tier > highest) top.clear();
    highest = vertex.tier;
    top.push_back(static_cast<VertexId>(id));
  }
  return top;
}

}  // namespace

JoinedTopology join_parts(const std::vector<TopologyPart>& parts) {
  JoinedTopology joined;
  const bool any_rails = std::any_of(parts.begin(), parts.end(),
                                     [](const TopologyPart& part) { return part.policy.routing == Routing::rails; });
  joined.policy.routing = any_rails ? Routing::rails : Routing::shortest;
  std::vector<std::vector<VertexId>> tops;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto first = static_cast<VertexId>(joined.topology.vertices.size());
    const bool by_rails = !any_rails || parts[i].policy.routing == Routing::rails;
    append(parts[i].topology, fmt::format("group{}.", i), by_rails, joined.topology);
    if (parts[i].policy.spread == Spread::hash) joined.policy.spread = Spread::hash;
    tops.push_back(topmost(parts[i].topology));
    for (VertexId& top : tops.back()) top += first;
    if (tops.back().empty())
      throw InputError(parts[i].where, fmt::format("group {} has no network switch, and other groups lie beyond it", i),
                       "expected a network of switches in every group");
    if (joined.topology.vertices.size() + 2 * parts.size() > most_vertices)
      throw InputError(parts[i].where, "too many parts for one network of all groups",
                       fmt::format("expected at most {}: fewer GPUs or wider switches", most_vertices));
    joined.topology.name += (i > 0 ? " + " : "") + parts[i].topology.name;
  }
  Vertex between{VertexKind::network_switch, "between_groups"};
  between.tier = 6;
  const VertexId hub = joined.topology.add(std::move(between));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Vertex gateway{VertexKind::network_switch, fmt::format("group{}.to_groups", i)};
    gateway.tier = 5;
    const VertexId by = joined.topology.add(std::move(gateway));
    // Each carries the long link's bandwidth: none narrows it.
    for (const VertexId top : tops[i]) joined.topology.join(top, by, {parts[i].outwards, Seconds(0), site_metric});
    joined.topology.join(by, hub, {parts[i].outwards, Seconds(0), site_metric});
  }
  return joined;
}

}  // namespace echelon
