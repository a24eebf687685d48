#include "sim/config/topology_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "sim/config/drawn_topology.h"
#include "sim/config/key_table.h"
#include "sim/config/number_rows.h"

namespace echelon {
namespace {

// A key, and its value as text where that is not the default.
template <class Target>
struct Row {
  Key<Target> key;
  std::function<std::optional<std::string>(const Target&)> written;
};

template <class Target>
Row<Target> count(const char* name, std::int64_t least, std::int64_t most, std::int64_t Target::*member,
                  const char* meaning) {
  return {integer_key<Target>(name, least, most, member, meaning), [=](const Target& target) {
            const std::int64_t value = target.*member;
            return value == Target{}.*member ? std::nullopt : std::optional(fmt::format("{}", value));
          }};
}

template <class Target>
Row<Target> rate(const char* name, ByteRate Target::*member, const char* meaning) {
  constexpr double least = 1e-3;
  constexpr double most = 1e6;
  return {Key<Target>{{name, number_type(least, most), meaning},
                      [=](const Value& value, Target& target) {
                        target.*member = gigabytes_per_second(value.number(least, most));
                      }},
          [=](const Target& target) {
            const double value = (target.*member).value();
            return value == 0 ? std::nullopt : std::optional(fmt::format("{:.6g}", value / 1e9));
          }};
}

constexpr double longest_us = 1e6;

template <class Target, class Member>
Row<Target> latency(const char* name, Member Target::*member, const char* meaning) {
  return {Key<Target>{
              {name, number_type(0, longest_us), meaning},
              [=](const Value& value, Target& target) { target.*member = microseconds(value.number(0, longest_us)); }},
          [=](const Target& target) -> std::optional<std::string> {
            if (target.*member == Target{}.*member) return std::nullopt;
            return fmt::format("{:.6g}", std::optional<Seconds>(target.*member)->value() * 1e6);
          }};
}

template <class E, class Target>
Row<Target> choice(const char* name, std::optional<E> Target::*member, const char* meaning) {
  return {enum_key<E, Target>(name, member, meaning), [=](const Target& target) -> std::optional<std::string> {
            if (!(target.*member)) return std::nullopt;
            return std::string(name_of(*(target.*member)));
          }};
}

// A list of numbers, each read by `read_item`.
template <class Target, class Item>
Row<Target> list(const char* name, const std::string& item_type, std::vector<Item> Target::*member, const char* meaning,
                 Item (*read_item)(const Value&)) {
  return {Key<Target>{{name, list_type(item_type), meaning},
                      [=](const Value& value, Target& target) {
                        (target.*member).clear();
                        for (const Value& item : value.items()) (target.*member).push_back(read_item(item));
                      }},
          [=](const Target& target) -> std::optional<std::string> {
            if ((target.*member).empty()) return std::nullopt;
            return fmt::format("[{}]", fmt::join(target.*member, ", "));
          }};
}

constexpr std::int64_t many = 1'000'000;

std::vector<Row<NodeShape>> node_rows() {
  using N = NodeShape;
  return {
      choice<NodeFamily>("family", &N::family, "what a node looks like inside"),
      count("gpus", 1, 1024, &N::gpus, "GPUs of a node"),
      count("domain_gpus", 1, many, &N::domain_gpus, "GPUs that one scale-up fabric joins"),
      rate("gpu_gb_s", &N::gpu_link, "GPU to switch, or one link of a mesh, each way"),
      latency("gpu_latency_us", &N::gpu_latency, "of such a link as drawn; time takes network.pair_latency_us"),
      count("gpus_per_pcie_switch", 1, 1024, &N::gpus_per_pcie_switch, "pcie_tree: 1 = each on its host bridge"),
      count("host_bridges", 1, 64, &N::host_bridges, "pcie_tree: CPU sockets"),
      rate("host_gb_s", &N::host_link, "pcie_tree: between sockets, each way"),
      count("adapters", 1, 1024, &N::adapters, "network adapters of a node"),
      rate("adapter_gb_s", &N::adapter_link, "adapter to network, each way"),
      latency("adapter_latency_us", &N::adapter_latency,
              "of that link as drawn; time takes network.adapter_latency_us"),
  };
}

std::vector<Row<NetworkShape>> network_rows() {
  using N = NetworkShape;
  return {
      choice<NetworkFamily>("family", &N::family, "what joins the nodes"),
      count("switch_ports", 2, 4096, &N::switch_ports, "of an adapter's rate each"),
      count("nodes_per_leaf", 1, many, &N::nodes_per_leaf, "absent: as the ports allow"),
      count("spines", 1, many, &N::spines, "of two tiers; absent: as few as the ports allow"),
      list<NetworkShape, double>("oversubscription", number_type(0.01, 1000), &N::oversubscription,
                                 "by tier from the leaves up: bandwidth below over bandwidth above",
                                 [](const Value& value) { return value.number(0.01, 1000); }),
      latency("switch_latency_us", &N::switch_latency, "of a link between switches"),
      count("routers_per_group", 1, 4096, &N::routers_per_group, "dragonfly: a"),
      count("adapters_per_router", 1, 4096, &N::adapters_per_router, "dragonfly: p"),
      count("global_links", 1, 4096, &N::global_links, "dragonfly: h, of each router"),
      list<NetworkShape, std::int64_t>("torus_shape", integer_type(1, 100'000), &N::torus_shape,
                                       "nodes along each dimension",
                                       [](const Value& value) { return value.integer(1, 100'000); }),
      count("torus_dimensions", 2, 3, &N::torus_dimensions, "where no shape is given"),
      rate("torus_gb_s", &N::torus_link, "between neighbours, each way; absent: all of a node's adapters"),
      count("sites", 1, 16, &N::sites, "data centres, each with an equal part of the nodes"),
      rate("site_gb_s", &N::site_link, "between two sites, each way"),
      latency("site_latency_us", &N::site_latency, "of that link: 4.9 a kilometre of fibre"),
  };
}

template <class Target>
std::vector<Key<Target>> keys_of(const std::vector<Row<Target>>& rows) {
  std::vector<Key<Target>> keys;
  for (const Row<Target>& row : rows) keys.push_back(row.key);
  return keys;
}

// "NAME: {key: value, ...}", or nothing where all is as by default.
template <class Target>
std::string written(const char* name, const std::vector<Row<Target>>& rows, const Target& target) {
  std::vector<std::string> parts;
  for (const Row<Target>& row : rows)
    if (const auto text = row.written(target)) parts.push_back(fmt::format("{}: {}", row.key.name, *text));
  return parts.empty() ? "" : fmt::format("{}: {{{}}}\n", name, fmt::join(parts, ", "));
}

std::vector<Key<TopologySpec>> topology_keys() {
  return {
      {{"node", object_type_of(keys_of(node_rows())), "what a node looks like inside"},
       [](const Value& value, TopologySpec& spec) { read_keys(value, keys_of(node_rows()), spec.node); }},
      {{"network", object_type_of(keys_of(network_rows())), "what joins the nodes"},
       [](const Value& value, TopologySpec& spec) { read_keys(value, keys_of(network_rows()), spec.network); }},
      enum_key<Routing, TopologySpec>("routing", &TopologySpec::routing,
                                      "absent: rails on a rail-optimised network, else shortest"),
      enum_key<Spread, TopologySpec>("spread", &TopologySpec::spread, "over equal ways"),
      {{"graph", drawn_topology_type(), "instead of families: drawn link by link"},
       [](const Value& value, TopologySpec& spec) { spec.graph = drawn_topology_from_yaml(value); }},
      text_key<TopologySpec>("source", &TopologySpec::source, "where the choice and the numbers come from"),
  };
}

// Keys that some families do not read.
template <class Family>
struct FamilyKeys {
  std::vector<const char*> keys;
  std::vector<Family> readers;
};

template <class Family>
void refuse_unread(const Value& shape, Family family, const std::vector<FamilyKeys<Family>>& table) {
  for (const auto& [keys, readers] : table) {
    if (std::find(readers.begin(), readers.end(), family) != readers.end()) continue;
    std::vector<std::string_view> names;
    for (const Family reader : readers) names.push_back(name_of(reader));
    for (const char* key : keys)
      if (const auto found = shape.find(key))
        found->fail(fmt::format("{} has no {}", name_of(family), key),
                    fmt::format("expected family: {}", fmt::join(names, " or ")));
  }
}

void check_node(const Value& value, const NodeShape& node) {
  if (node.family)
    refuse_unread<NodeFamily>(value, *node.family,
                              {{{"gpus_per_pcie_switch", "host_bridges", "host_gb_s"}, {NodeFamily::pcie_tree}}});
}

void check_network(const Value& value, const NetworkShape& network) {
  using F = NetworkFamily;
  const std::vector<F> clos = {F::rail_optimised, F::fat_tree, F::leaf_spine};
  const F family = network.family.value_or(F::rail_optimised);  // or none, which reads less
  refuse_unread<F>(value, family,
                   {{{"nodes_per_leaf", "spines", "oversubscription"}, clos},
                    {{"switch_ports"}, {F::rail_optimised, F::fat_tree, F::leaf_spine, F::dragonfly}},
                    {{"routers_per_group", "adapters_per_router", "global_links"}, {F::dragonfly}},
                    {{"torus_shape", "torus_dimensions", "torus_gb_s"}, {F::torus}}});
  // Leaves to spines, and spines to cores where there may be any.
  const std::size_t tiers = family == F::leaf_spine || network.spines > 0 ? 1 : 2;
  if (network.oversubscription.size() > tiers)
    value.at("oversubscription")
        .fail(fmt::format("oversubscription of {} tiers", network.oversubscription.size()),
              tiers == 1 ? "expected that of the leaves alone" : "expected 1 or 2: of the leaves, of the spines");
  for (const char* key : {"site_gb_s", "site_latency_us"})
    if (const auto found = value.find(key); found && network.sites == 1)
      found->fail(fmt::format("{} in one site", key), "expected 'sites', 2 or more, beside it");
}

}  // namespace

TopologySpec topology_from_yaml(const Value& value) {
  TopologySpec spec;
  spec.where = value.where();
  read_keys(value, topology_keys(), spec);
  if (spec.graph && (value.find("node") || value.find("network")))
    value.fail("both a graph and families", "expected either 'graph' or 'node' and 'network'");
  if (const auto node = value.find("node")) check_node(*node, spec.node);
  if (const auto network = value.find("network")) check_network(*network, spec.network);
  const std::size_t dimensions = spec.network.torus_shape.size();
  if (dimensions != 0 && dimensions != 2 && dimensions != 3)
    value.at("network")
        .at("torus_shape")
        .fail("a torus of " + std::to_string(dimensions) + " dimensions", "expected 2 or 3");
  return spec;
}

std::string topology_to_yaml(const TopologySpec& spec, int indent) {
  const std::string pad(static_cast<std::size_t>(indent), ' ');
  std::string out;
  const auto add = [&](const std::string& line) {
    if (!line.empty()) out += pad + line;
  };
  add(written("node", node_rows(), spec.node));
  add(written("network", network_rows(), spec.network));
  if (spec.routing) add(fmt::format("routing: {}\n", name_of(*spec.routing)));
  if (spec.spread != Spread::even) add(fmt::format("spread: {}\n", name_of(spec.spread)));
  if (spec.graph) out += drawn_topology_to_yaml(*spec.graph, indent);
  if (!spec.source.empty()) add("source: " + quoted(spec.source) + "\n");
  return out;
}

std::string topology_type() {
  return object_type_of(topology_keys());
}

}  // namespace echelon
