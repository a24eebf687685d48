#include "sim/report/topology_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>
#include <vector>

#include "sim/engine/flow.h"

namespace echelon {

namespace {

constexpr double us = 1e-6;
constexpr double gb_s = 1e9;

std::string counted_vertices(const Topology& topology) {
  std::vector<std::pair<std::string, std::int64_t>> counts;
  for (const Vertex& vertex : topology.vertices) {
    const std::string sort = sort_of(vertex);
    auto found = std::find_if(counts.begin(), counts.end(), [&](const auto& count) { return count.first == sort; });
    if (found == counts.end()) found = counts.insert(counts.end(), {sort, 0});
    ++found->second;
  }
  std::string out;
  for (const auto& [sort, count] : counts) out += fmt::format("{}{} {}", out.empty() ? "  " : ", ", count, sort);
  return out + "\n";
}

std::string counted_links(const Topology& topology) {
  using Sort = std::tuple<std::string, double, double>;
  std::vector<std::pair<Sort, std::int64_t>> counts;
  for (std::size_t id = 0; id < topology.links.size(); id += 2) {
    const Link& link = topology.links[id];
    const Sort sort{sort_of(topology.vertex(link.from)) + " - " + sort_of(topology.vertex(link.to)),
                    link.bandwidth.value() / gb_s, link.latency.value() / us};
    auto found = std::find_if(counts.begin(), counts.end(), [&](const auto& count) { return count.first == sort; });
    if (found == counts.end()) found = counts.insert(counts.end(), {sort, 0});
    ++found->second;
  }
  std::string out = "\n  links                              count   GB/s each way   latency us\n";
  for (const auto& [sort, count] : counts)
    out += fmt::format("  {:<32} {:>7} {:>15.1f} {:>12.2f}\n", std::get<0>(sort), count, std::get<1>(sort),
                       std::get<2>(sort));
  return out;
}

// One of the ways, as names.
std::string way(const Topology& topology, const Route& route) {
  std::string out = topology.vertex(topology.link(route.hops.front().link).from).name;
  VertexId at = topology.link(route.hops.front().link).from;
  for (const Hop& hop : route.hops) {
    const Link& link = topology.link(hop.link);
    if (link.from != at) continue;
    at = link.to;
    out += " > " + topology.vertex(at).name;
  }
  return out;
}

// GPU 0 to the second one, to its neighbour in the next node and to the last.
std::string sample_ways(const Topology& topology, RoutePolicy policy) {
  Router router(topology, policy);
  std::string out = fmt::format("\n  ways ({}, {})\n", name_of(policy.routing), name_of(policy.spread));
  const VertexId first = topology.gpus.front();
  const auto next_node = std::find_if(topology.gpus.begin(), topology.gpus.end(), [&](VertexId gpu) {
    return topology.vertex(gpu).node != topology.vertex(first).node;
  });
  std::vector<VertexId> ends = {topology.gpus[topology.gpus.size() > 1 ? 1 : 0], topology.gpus.back()};
  if (next_node != topology.gpus.end()) ends.insert(ends.begin() + 1, *next_node);
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  for (const VertexId end : ends) {
    const auto route = router.route(first, end, 0);
    if (!route || route->hops.empty()) continue;
    double rate = topology.link(route->hops.front().link).bandwidth.value();
    for (const Hop& hop : route->hops) rate = std::min(rate, topology.link(hop.link).bandwidth.value() / hop.share);
    const bool spread =
        std::any_of(route->hops.begin(), route->hops.end(), [](const Hop& hop) { return hop.share < 1; });
    out += fmt::format("  {:>8.1f} GB/s {:>8.2f} us   {}{}\n", rate / gb_s, route->latency.value() / us,
                       way(topology, *route), spread ? " and others" : "");
  }
  return out;
}

// Every GPU sends to the one half the cluster away: what an even split in two leaves each.
std::string half_way_rates(const Topology& topology, RoutePolicy policy) {
  const std::size_t half = topology.gpus.size() / 2;
  if (half == 0) return "";
  Router router(topology, policy);
  FlowNetwork network(link_capacities(topology));
  for (std::size_t to = 0; to < 2 * half; ++to) {
    const std::size_t from = (to + half) % (2 * half);
    const auto route = router.route(topology.gpus[from], topology.gpus[to], to);
    network.add({Time(), Bytes(1e9), route ? route->hops : std::vector<Hop>{}, Time(), ByteRate(0)});
  }
  network.advance(Time());
  double least = network.rate(0).value();
  double sum = 0;
  for (FlowId flow = 0; flow < static_cast<FlowId>(2 * half); ++flow) {
    least = std::min(least, network.rate(flow).value());
    sum += network.rate(flow).value();
  }
  return fmt::format("\n  all GPUs at once to the one half the cluster away: {:.1f} GB/s each, {:.1f} the slowest\n",
                     sum / static_cast<double>(2 * half) / gb_s, least / gb_s);
}

std::string dot_quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

const char* dot_shape(VertexKind kind) {
  switch (kind) {
    case VertexKind::gpu:
      return "box";
    case VertexKind::adapter:
      return "ellipse";
    default:
      return "hexagon";
  }
}

}  // namespace

std::string topology_text(const Topology& topology, RoutePolicy policy) {
  return fmt::format("{}: {} GPUs\n", topology.name, topology.gpus.size()) + counted_vertices(topology) +
         counted_links(topology) + sample_ways(topology, policy) + half_way_rates(topology, policy);
}

nlohmann::ordered_json topology_json(const Topology& topology) {
  nlohmann::ordered_json json{{"name", topology.name},
                              {"vertices", nlohmann::ordered_json::array()},
                              {"links", nlohmann::ordered_json::array()}};
  for (const Vertex& vertex : topology.vertices) {
    nlohmann::ordered_json one{{"name", vertex.name}, {"kind", name_of(vertex.kind)}};
    if (vertex.node != shared_by_nodes) one["node"] = vertex.node;
    json["vertices"].push_back(std::move(one));
  }
  for (std::size_t id = 0; id < topology.links.size(); id += 2) {
    const Link& link = topology.links[id];
    json["links"].push_back({{"between", {topology.vertex(link.from).name, topology.vertex(link.to).name}},
                             {"bandwidth_b_s", link.bandwidth.value()},
                             {"latency_s", link.latency.value()}});
  }
  return json;
}

std::string topology_dot(const Topology& topology) {
  std::string out = "graph topology {\n  rankdir=BT;\n  node [fontname=\"sans-serif\"];\n";
  std::map<std::int32_t, std::string> boxes;
  for (const Vertex& vertex : topology.vertices) {
    const std::string line = fmt::format("    {} [shape={}];\n", dot_quoted(vertex.name), dot_shape(vertex.kind));
    boxes[vertex.node] += line;
  }
  for (const auto& [node, lines] : boxes)
    out += node == shared_by_nodes
               ? lines
               : fmt::format("  subgraph cluster_{0} {{\n    label=\"node {0}\";\n{1}  }}\n", node, lines);
  for (std::size_t id = 0; id < topology.links.size(); id += 2) {
    const Link& link = topology.links[id];
    out += fmt::format("  {} -- {} [label=\"{:g}\"];\n", dot_quoted(topology.vertex(link.from).name),
                       dot_quoted(topology.vertex(link.to).name), link.bandwidth.value() / gb_s);
  }
  return out + "}\n";
}

}  // namespace echelon
