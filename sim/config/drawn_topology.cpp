#include "sim/config/drawn_topology.h"

#include <fmt/format.h>

#include <unordered_map>
#include <utility>
#include <vector>

#include "sim/config/key_table.h"
#include "sim/config/number_rows.h"
#include "sim/hardware/route.h"
#include "sim/hardware/topology_families.h"

namespace echelon {
namespace {

constexpr std::int64_t most_nodes = 1'000'000;
constexpr std::size_t most_drawn = 2000;  // every pair of GPUs is checked for a way

struct LinkReading {
  VertexId from = -1;
  VertexId to = -1;
  LinkSpec spec;
  std::int64_t metric = 0;  // 0 = by the kinds of its ends
};

using Names = std::unordered_map<std::string, VertexId>;

template <class Access>
Key<Vertex> place_key(const char* name, Access access, const char* meaning) {
  return {{name, integer_type(0, most_nodes), meaning}, [=](const Value& value, Vertex& vertex) {
            std::invoke(access, vertex) = static_cast<std::int32_t>(value.integer(0, most_nodes));
          }};
}

std::vector<Key<Vertex>> vertex_keys() {
  return {
      text_key<Vertex>("name", &Vertex::name, "a name of its own", Presence::required),
      enum_key<VertexKind, Vertex>("kind", &Vertex::kind, "what it is", Presence::required),
      place_key("node", &Vertex::node, "the node that it sits in; absent: shared by nodes"),
      place_key("domain", &Vertex::domain, "of a GPU: the scale-up fabric that it is on; absent: its node"),
      place_key("rail", &Vertex::rail, "of a GPU: its place for routing by rails"),
      place_key("tier", &Vertex::tier, "of a switch: distance from the nodes, for drawing"),
  };
}

void read_vertices(const Value& list, Topology& topology, Names& names) {
  const std::vector<Value> items = list.items();
  if (items.size() > most_drawn)
    list.fail(fmt::format("{} vertices", items.size()),
              fmt::format("expected at most {}; larger clusters are families", most_drawn));
  for (const Value& item : items) {
    Vertex vertex;
    read_keys(item, vertex_keys(), vertex);
    if (vertex.domain < 0 && vertex.kind == VertexKind::gpu) vertex.domain = vertex.node;
    const std::string name = vertex.name;
    if (!names.emplace(name, topology.add(std::move(vertex))).second)
      item.at("name").fail("a second vertex '" + name + "'", "expected a name of its own");
  }
}

VertexId find_vertex(const Value& value, const Names& names, const Topology& topology) {
  const std::string name = value.text();
  if (const auto found = names.find(name); found != names.end()) return found->second;
  std::vector<std::string> known;
  for (const Vertex& vertex : topology.vertices) known.push_back(vertex.name);
  const auto meant = nearest(name, known);
  value.fail("no vertex '" + name + "'", meant ? "did you mean '" + *meant + "'?" : "expected a name of 'vertices'");
}

// As the families have it (topology_families.h).
std::int32_t metric_between(const Vertex& a, const Vertex& b) {
  const auto either = [&](VertexKind kind) { return a.kind == kind || b.kind == kind; };
  if (either(VertexKind::network_switch)) return network_metric;
  const bool gpus = a.kind == VertexKind::gpu && b.kind == VertexKind::gpu;
  return gpus || either(VertexKind::scale_up_switch) ? scale_up_metric : pcie_metric;
}

std::vector<Key<LinkReading>> link_keys(const Names& names, const Topology& topology) {
  return {
      {{"between", list_type(text_type()), "the names of its two ends", Presence::required},
       [&](const Value& value, LinkReading& link) {
         const std::vector<Value> ends = value.items();
         if (ends.size() != 2) value.fail(fmt::format("a link with {} ends", ends.size()), "expected [name, name]");
         link.from = find_vertex(ends[0], names, topology);
         link.to = find_vertex(ends[1], names, topology);
         if (link.from == link.to) value.fail("a link from a vertex to itself", "expected two names");
       }},
      {{"gb_s", number_type(1e-3, 1e6), "bandwidth each way", Presence::required},
       [](const Value& value, LinkReading& link) {
         link.spec.bandwidth = gigabytes_per_second(value.number(1e-3, 1e6));
       }},
      {{"latency_us", number_type(0, 1e6), "of a byte to pass"},
       [](const Value& value, LinkReading& link) { link.spec.latency = microseconds(value.number(0, 1e6)); }},
      integer_key<LinkReading>("metric", 1, 1'000'000, &LinkReading::metric,
                               "of shortest ways; absent: by the kinds of its ends"),
  };
}

void read_links(const Value& list, const Names& names, Topology& topology) {
  const std::vector<Key<LinkReading>> keys = link_keys(names, topology);
  for (const Value& item : list.items()) {
    LinkReading link;
    read_keys(item, keys, link);
    link.spec.metric = link.metric > 0 ? static_cast<std::int32_t>(link.metric)
                                       : metric_between(topology.vertex(link.from), topology.vertex(link.to));
    topology.join(link.from, link.to, link.spec);
  }
}

// Every GPU must reach every other: ways lead both directions.
void check_joined(const Value& value, const Topology& topology) {
  if (topology.gpus.empty()) value.fail("a graph without GPUs", "expected a vertex of kind gpu");
  Router router(topology, {});
  for (const VertexId to : topology.gpus)
    for (const VertexId from : topology.gpus)
      if (!router.joins(from, to))
        value.fail("no way from '" + topology.vertex(from).name + "' to '" + topology.vertex(to).name + "'",
                   "expected links that join all GPUs without passing through nodes of others");
}

struct GraphReading {
  Topology topology;
  Names names;
};

std::vector<Key<GraphReading>> graph_keys() {
  const std::string link_type = object_type_of(link_keys({}, {}));  // its readers are not called
  return {{{"forward", boolean_type(), "whether GPUs pass on what others of their node send"},
           [](const Value& value, GraphReading& graph) { graph.topology.gpus_forward = value.boolean(); }},
          {{"vertices", list_type(object_type_of(vertex_keys())), "GPUs, adapters and switches", Presence::required},
           [](const Value& value, GraphReading& graph) { read_vertices(value, graph.topology, graph.names); }},
          {{"links", list_type(link_type), "what joins them, both ways", Presence::required},
           [](const Value& value, GraphReading& graph) { read_links(value, graph.names, graph.topology); }}};
}

}  // namespace

Topology drawn_topology_from_yaml(const Value& value) {
  GraphReading graph;
  read_keys(value, graph_keys(), graph);
  check_joined(value, graph.topology);
  graph.topology.name = "drawn graph";
  return std::move(graph.topology);
}

std::string drawn_topology_to_yaml(const Topology& topology, int indent) {
  const std::string pad(static_cast<std::size_t>(indent), ' ');
  std::string out = pad + "graph:\n";
  if (topology.gpus_forward) out += pad + "  forward: true\n";
  out += pad + "  vertices:\n";
  for (const Vertex& vertex : topology.vertices) {
    out += fmt::format("{}    - {{name: {}, kind: {}", pad, quoted(vertex.name), name_of(vertex.kind));
    if (vertex.node >= 0) out += fmt::format(", node: {}", vertex.node);
    if (vertex.domain >= 0) out += fmt::format(", domain: {}", vertex.domain);
    if (vertex.rail >= 0) out += fmt::format(", rail: {}", vertex.rail);
    if (vertex.tier > 0) out += fmt::format(", tier: {}", vertex.tier);
    out += "}\n";
  }
  out += pad + "  links:\n";
  for (std::size_t id = 0; id < topology.links.size(); id += 2) {
    const Link& link = topology.links[id];
    out += fmt::format("{}    - {{between: [{}, {}], gb_s: {:.6g}, latency_us: {:.6g}, metric: {}}}\n", pad,
                       quoted(topology.vertex(link.from).name), quoted(topology.vertex(link.to).name),
                       link.bandwidth.value() / 1e9, link.latency.value() * 1e6, link.metric);
  }
  return out;
}

std::string drawn_topology_type() {
  return object_type_of(graph_keys());
}

}  // namespace echelon
