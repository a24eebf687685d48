#include "sim/config/network_config.h"

#include <fmt/format.h>

#include <functional>
#include <vector>

#include "sim/config/key_table.h"

namespace echelon {
namespace {

// A number in the unit of its key, read and written by one row.
struct NetworkRow {
  const char* name;
  double least;
  double most;
  Presence presence;
  const char* meaning;
  std::function<double(const Network&)> get;
  std::function<void(Network&, double)> set;
  bool whole = false;

  std::string type() const {
    return whole ? integer_type(static_cast<std::int64_t>(least), static_cast<std::int64_t>(most))
                 : number_type(least, most);
  }
  double read(const Value& value) const {
    return whole ? static_cast<double>(value.integer(static_cast<std::int64_t>(least), static_cast<std::int64_t>(most)))
                 : value.number(least, most);
  }
};

template <class Tag>
NetworkRow quantity(const char* name, double most, Presence presence, Quantity<Tag> Network::*member, double unit,
                    const char* meaning) {
  return {name,
          0,
          most,
          presence,
          meaning,
          [=](const Network& n) { return (n.*member).value() / unit; },
          [=](Network& n, double value) { n.*member = Quantity<Tag>(value * unit); }};
}

NetworkRow count(const char* name, Presence presence, std::int64_t Network::*member, const char* meaning) {
  return {name,
          0,
          1e6,
          presence,
          meaning,
          [=](const Network& n) { return static_cast<double>(n.*member); },
          [=](Network& n, double value) { n.*member = static_cast<std::int64_t>(value); },
          true};
}

NetworkRow ratio(const char* name, double most, double Network::*member, const char* meaning) {
  return {name,
          0,
          most,
          Presence::optional,
          meaning,
          [=](const Network& n) { return n.*member; },
          [=](Network& n, double value) { n.*member = value; }};
}

constexpr double gb_s = 1e9;
constexpr double us = 1e-6;

std::vector<NetworkRow> number_rows() {
  constexpr auto required = Presence::required;
  constexpr auto optional = Presence::optional;
  return {
      count("gpus_per_node", required, &Network::gpus_per_node, "GPUs of a node"),
      count("domain_gpus", optional, &Network::domain_gpus,
            "GPUs that the scale-up fabric joins, where more than a node"),
      quantity("ring_bus_gb_s", 1e5, required, &Network::ring_bus, gb_s,
               "asymptotic bus bandwidth of rings in the fabric"),
      quantity("pair_bus_gb_s", 1e5, optional, &Network::pair_bus, gb_s, "the same for two ranks"),
      quantity("nvls_bus_gb_s", 1e5, optional, &Network::nvls_bus, gb_s, "all-reduce by in-switch reduction"),
      quantity("all_to_all_bus_gb_s", 1e5, optional, &Network::all_to_all_bus, gb_s, "bus bandwidth of all-to-all"),
      quantity("pair_gb_s", 1e5, required, &Network::pair_rate, gb_s, "one message between two GPUs of a node"),
      quantity("pair_latency_us", 1e6, required, &Network::pair_latency, us, "of one message inside a node"),
      ratio("step_latency_scale", 100, &Network::step_latency_scale, "on NCCL's latency constants inside a node"),
      count("adapters", optional, &Network::adapters, "network adapters of a node"),
      quantity("adapter_gb_s", 1e5, optional, &Network::adapter_rate, gb_s, "achieved rate of one adapter"),
      count("ring_adapters", optional, &Network::ring_adapters,
            "of a node's adapters, those that the rings of one group drive at most; 0 or absent: all"),
      quantity("adapter_latency_us", 1e6, optional, &Network::adapter_latency, us, "of one message between nodes"),
      ratio("network_latency_scale", 100, &Network::network_latency_scale,
            "on NCCL's network latency constants, or RCCL's of LL"),
      ratio("mid_size_loss", 1, &Network::mid_size_loss, "latency and bandwidth terms that do not overlap"),
      ratio("base_latency_scale", 100, &Network::base_latency_scale, "on the fixed latency of NCCL's calls"),
      ratio("ll_share", 1, &Network::ll_share, "of the bus bandwidth that NCCL's LL protocol leaves"),
      ratio("ll128_share", 1, &Network::ll128_share, "the same of LL128"),
      ratio("tree_share", 1, &Network::tree_share, "of a ring's bandwidth that trees reach"),
      ratio("rooted_share", 1, &Network::rooted_share, "of a ring's bandwidth that broadcast and reduce reach"),
      ratio("rooted_latency_scale", 100, &Network::rooted_latency_scale, "on the latency of broadcast and reduce"),
      quantity("rooted_slot_us", 1e6, optional, &Network::rooted_slot, us,
               "of a message of 4 KiB that a broadcast or reduce hands on between nodes in LL"),
      quantity("rooted_ll128_step_us", 1e6, optional, &Network::rooted_ll128_step, us,
               "of a node that a broadcast or reduce passes in LL128"),
      quantity("rooted_simple_step_us", 1e6, optional, &Network::rooted_simple_step, us, "the same in Simple"),
      ratio("rooted_ll128_share", 1, &Network::rooted_ll128_share,
            "of the bandwidth of Simple that broadcast and reduce reach in LL128 between nodes"),
      ratio("simple_latency_scale", 100, &Network::simple_latency_scale, "on NCCL's step latencies of Simple"),
      quantity("nvls_latency_us", 1e6, optional, &Network::nvls_latency, us, "of in-switch reduction"),
      quantity("call_floor_us", 1e6, optional, &Network::call_floor, us, "no collective takes less"),
      count("library_version", optional, &Network::library_version,
            "NCCL's, 10000 major + 100 minor + patch: PAT is chosen from 22300 on; 0 or absent: not known"),
      ratio("congestion", 1, &Network::congestion, "adapters keep (nodes / 2)^-congestion of their rate"),
  };
}

std::vector<Key<ScalingPoint>> scaling_point_keys() {
  const auto rate = [](const char* name, ByteRate ScalingPoint::*member, const char* meaning) {
    return Key<ScalingPoint>{
        {name, number_type(0.001, 1e5), meaning, Presence::required},
        [=](const Value& value, ScalingPoint& p) { p.*member = ByteRate(value.number(0.001, 1e5) * gb_s); }};
  };
  return {integer_key<ScalingPoint>("nodes", 2, 1'000'000, &ScalingPoint::nodes, "whole nodes", Presence::required),
          rate("all_reduce_bus_gb_s", &ScalingPoint::all_reduce_bus, "bus bandwidth of all-reduce"),
          rate("gather_bus_gb_s", &ScalingPoint::gather_bus, "bus bandwidth of all-gather and reduce-scatter")};
}

std::vector<ScalingPoint> scaling_points(const Value& list) {
  std::vector<ScalingPoint> points;
  for (const Value& item : list.items()) {
    ScalingPoint point;
    read_keys(item, scaling_point_keys(), point);
    if (!points.empty() && point.nodes <= points.back().nodes)
      item.fail("nodes do not ascend", "expected more nodes than in the point before");
    points.push_back(point);
  }
  return points;
}

std::vector<Key<MeasuredScaling>> scaling_keys() {
  constexpr double mib = 1024.0 * 1024.0;
  return {{{"mib", number_type(0.001, 1e6), "size of each collective, the full vector", Presence::required},
           [](const Value& value, MeasuredScaling& s) { s.bytes = Bytes(value.number(0.001, 1e6) * mib); }},
          {{"points", list_type(object_type_of(scaling_point_keys())), "by number of nodes", Presence::required},
           [](const Value& value, MeasuredScaling& s) { s.points = scaling_points(value); }}};
}

std::string scaling_to_yaml(const MeasuredScaling& scaling, const std::string& pad) {
  if (scaling.points.empty()) return "";
  std::string out =
      fmt::format("{0}scaling:\n{0}  mib: {1:.6g}\n{0}  points:\n", pad, scaling.bytes.value() / (1024.0 * 1024.0));
  for (const ScalingPoint& point : scaling.points)
    out += fmt::format("{}    - {{nodes: {}, all_reduce_bus_gb_s: {:.6g}, gather_bus_gb_s: {:.6g}}}\n", pad,
                       point.nodes, point.all_reduce_bus.value() / gb_s, point.gather_bus.value() / gb_s);
  return out;
}

std::vector<Key<Provenance>> provenance_keys() {
  return {enum_key<Ground, Provenance>("ground", &Provenance::ground, "what the numbers stand on", Presence::required),
          text_key<Provenance>("source", &Provenance::source, "where they come from", Presence::required)};
}

std::vector<Key<Network>> network_keys() {
  std::vector<Key<Network>> keys;
  for (const NetworkRow& row : number_rows())
    keys.push_back({{row.name, row.type(), row.meaning, row.presence},
                    [row](const Value& value, Network& n) { row.set(n, row.read(value)); }});
  keys.push_back(
      enum_key<Fabric, Network>("fabric", &Network::fabric, "what joins the GPUs of a node", Presence::required));
  keys.push_back(boolean_key<Network>("switch_reduction", &Network::switch_reduction,
                                      "whether NCCL's CollNet is on: network switches that reduce (SHARP)"));
  keys.push_back(
      {{"algorithm", enum_type<CollectiveAlgorithm>(), "that every collective takes which can, as NCCL_ALGO"},
       [](const Value& value, Network& n) { n.forced_algorithm = value.one_of<CollectiveAlgorithm>(); }});
  keys.push_back({{"protocol", enum_type<CollectiveProtocol>(), "that every collective takes which can, as NCCL_PROTO"},
                  [](const Value& value, Network& n) { n.forced_protocol = value.one_of<CollectiveProtocol>(); }});
  keys.push_back({{"scaling", object_type_of(scaling_keys()), "bandwidths measured by number of nodes"},
                  [](const Value& value, Network& n) { read_keys(value, scaling_keys(), n.scaling); }});
  const auto provenance = [&](const char* name, Provenance Network::*member, const char* meaning, Presence presence) {
    keys.push_back({{name, object_type_of(provenance_keys()), meaning, presence},
                    [=](const Value& value, Network& n) { read_keys(value, provenance_keys(), n.*member); }});
  };
  provenance("intra", &Network::intra, "ground of the numbers inside the node", Presence::required);
  provenance("inter", &Network::inter, "ground of the network's numbers", Presence::optional);
  return keys;
}

std::string provenance_to_yaml(const char* name, const Provenance& provenance, const std::string& pad) {
  if (provenance.source.empty()) return "";
  return fmt::format("{0}{1}:\n{0}  ground: {2}\n{0}  source: {3}\n", pad, name, name_of(provenance.ground),
                     quoted(provenance.source));
}

// What is slower than a modem is a slip of the unit, and its times would leave the range of Time.
void check_rates(const Value& value, const Network& network) {
  constexpr double least = 1e-3;
  for (const NetworkRow& row : number_rows()) {
    const std::string name = row.name;
    if (name.size() < 5 || name.substr(name.size() - 5) != "_gb_s") continue;
    const double rate = row.get(network);
    if (rate >= least || (rate == 0 && row.presence == Presence::optional)) continue;
    value.at(name).fail(fmt::format("{} is {:g}", name, rate), row.presence == Presence::optional
                                                                   ? "expected 0 for none, or 0.001 and more"
                                                                   : "expected 0.001 and more");
  }
}

}  // namespace

Network network_from_yaml(const Value& value) {
  Network network;
  read_keys(value, network_keys(), network);
  if (network.gpus_per_node < 1) value.at("gpus_per_node").fail("gpus_per_node is 0", "expected 1 or more");
  if (network.domain_gpus % network.gpus_per_node != 0)
    value.at("domain_gpus")
        .fail(fmt::format("a fabric of {} GPUs over nodes of {}", network.domain_gpus, network.gpus_per_node),
              "expected whole nodes, or 0 for one");
  check_rates(value, network);
  if (network.adapters > 0 && network.adapter_rate.value() <= 0)
    value.fail("adapters without adapter_gb_s", "expected a rate above 0");
  return network;
}

std::string network_to_yaml(const Network& network, int indent) {
  const std::string pad(static_cast<std::size_t>(indent), ' ');
  std::string out = fmt::format("{}fabric: {}\n", pad, name_of(network.fabric));
  for (const NetworkRow& row : number_rows()) out += fmt::format("{}{}: {:.6g}\n", pad, row.name, row.get(network));
  if (network.switch_reduction) out += pad + "switch_reduction: true\n";
  if (network.forced_algorithm) out += fmt::format("{}algorithm: {}\n", pad, name_of(*network.forced_algorithm));
  if (network.forced_protocol) out += fmt::format("{}protocol: {}\n", pad, name_of(*network.forced_protocol));
  out += scaling_to_yaml(network.scaling, pad);
  out += provenance_to_yaml("intra", network.intra, pad);
  return out + provenance_to_yaml("inter", network.inter, pad);
}

std::vector<NamedNumber> network_numbers(const Network& network) {
  std::vector<NamedNumber> numbers;
  for (const NetworkRow& row : number_rows())
    numbers.push_back({fmt::format("network.{}", row.name), row.get(network)});
  return numbers;
}

std::string network_type() {
  return object_type_of(network_keys());
}

}  // namespace echelon
