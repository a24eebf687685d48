#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "sim/app/profile_difference.h"
#include "sim/cli/collective_table.h"
#include "sim/cli/command.h"
#include "sim/cli/number_in.h"
#include "sim/config/data_dir.h"
#include "sim/config/profile_config.h"
#include "sim/hardware/topology_families.h"
#include "sim/report/topology_svg.h"
#include "sim/report/topology_text.h"

namespace echelon {

namespace {

struct ProfilesOptions {
  std::string name;
  std::string other;
  bool json = false;
  bool topology = false;
  std::int64_t gpus = 0;  // of the topology or the collective; 0 = a few nodes or two scale-up domains, or one node
  std::string svg;
  std::string dot;
  CollectiveQuestion collective;

  bool draws() const { return topology || !svg.empty() || !dot.empty(); }
};

nlohmann::ordered_json to_json(const Profile& profile) {
  return {{"name", profile.name},
          {"title", profile.title},
          {"device", profile.device.name},
          {"memory_bytes", profile.device.memory.value()},
          {"peak_bf16_flops", profile.device.peak_of(DataType::bf16).value()},
          {"gpus_per_node", profile.network.gpus_per_node},
          {"sources", profile.sources}};
}

// Enough to show every kind of link.
std::int64_t gpus_to_show(const TopologySpec& spec) {
  constexpr std::int64_t nodes = 4;
  if (spec.graph) return static_cast<std::int64_t>(spec.graph->gpus.size());
  const std::int64_t alone = std::max(spec.node.domain_gpus, spec.node.gpus);
  if (spec.network.family == NetworkFamily::none) return alone;
  return alone > spec.node.gpus ? 2 * alone : nodes * spec.node.gpus;
}

int show_topology(const Profile& profile, const ProfilesOptions& options) {
  const TopologySpec spec = with_defaults(profile.topology, profile.network);
  const Topology topology = build_topology(spec, options.gpus > 0 ? options.gpus : gpus_to_show(spec));
  if (!options.svg.empty()) write_file(options.svg, topology_svg(topology));
  if (!options.dot.empty()) write_file(options.dot, topology_dot(topology));
  if (!options.topology) return 0;
  fmt::print("{}\n",
             options.json ? topology_json(topology).dump(2) : topology_text(topology, {*spec.routing, spec.spread}));
  return 0;
}

// "+43.3 %", or a dash where the first is nothing.
std::string change(double first, double second) {
  return first == 0 ? "-" : fmt::format("{:+.1f} %", 100 * (second / first - 1));
}

void print_difference(const ProfileDifference& difference, const std::string& first, const std::string& second) {
  if (difference.same()) {
    fmt::print("no difference\n");
    return;
  }
  const char* const row = "{:<56} {:>12} {:>12} {:>10}\n";
  fmt::print(fmt::runtime(row), "", first, second, "");
  for (const NumberDifference& number : difference.numbers)
    fmt::print(fmt::runtime(row), number.key, fmt::format("{:.6g}", number.first), fmt::format("{:.6g}", number.second),
               change(number.first, number.second));
  for (const TimeDifference& time : difference.times)
    fmt::print(fmt::runtime(row), time.what, fmt::format("{:.1f} us", 1e6 * time.first.value()),
               fmt::format("{:.1f} us", 1e6 * time.second.value()), change(time.first.value(), time.second.value()));
}

nlohmann::ordered_json to_json(const ProfileDifference& difference) {
  nlohmann::ordered_json numbers = nlohmann::ordered_json::array(), times = nlohmann::ordered_json::array();
  for (const NumberDifference& number : difference.numbers)
    numbers.push_back({{"key", number.key}, {"first", number.first}, {"second", number.second}});
  for (const TimeDifference& time : difference.times)
    times.push_back({{"work", time.what}, {"first_s", time.first.value()}, {"second_s", time.second.value()}});
  return {{"numbers", numbers}, {"times", times}};
}

int run_difference(const ProfilesOptions& options) {
  if (options.name.empty())
    throw InputError({"--diff", 0, 0}, "one profile alone", "echelon profiles NAME --diff OTHER");
  const Profile first = load_profile(data_file(DataKind::profile, options.name, {"profiles"}));
  const Profile second = load_profile(data_file(DataKind::profile, options.other, {"--diff"}));
  const ProfileDifference difference = difference_of(first, second);
  if (options.json)
    fmt::print("{}\n", to_json(difference).dump(2));
  else
    print_difference(difference, first.name, second.name);
  return 0;
}

int run_profiles(const ProfilesOptions& options) {
  if (!options.other.empty()) return run_difference(options);
  if (!options.name.empty()) {
    const Profile profile = load_profile(data_file(DataKind::profile, options.name, {"profiles"}));
    if (options.draws()) return show_topology(profile, options);
    if (!options.collective.kind.empty()) {
      CollectiveQuestion question = options.collective;
      question.gpus = options.gpus;
      return show_collective(profile, question, options.json);
    }
    fmt::print("{}\n", options.json ? to_json(profile).dump(2) : save_profile(profile));
    return 0;
  }
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const std::string& name : data_names(DataKind::profile)) {
    const Profile profile = load_profile(data_file(DataKind::profile, name, {"profiles"}));
    if (options.json)
      all.push_back(to_json(profile));
    else
      fmt::print("{:<22} {}\n", name, profile.title);
  }
  if (options.json) fmt::print("{}\n", all.dump(2));
  return 0;
}

}  // namespace

void add_profiles_command(CLI::App& app, CommandBody& body) {
  auto options = std::make_shared<ProfilesOptions>();
  CLI::App* command = app.add_subcommand("profiles", "List the hardware profiles that ship, or show one");
  CLI::Option* name = command->add_option("name", options->name, "A profile's name");
  command->add_option("--diff", options->other, "Another profile: what differs, and what typical work takes on each");
  command->add_flag("--json", options->json, "Print as JSON");
  command->add_flag("--topology", options->topology, "Show its cluster as a graph: parts, links, ways")->needs(name);
  command->add_option("--gpus", options->gpus, "GPUs of that cluster, or of the collective")
      ->check(integer_in(1, 100'000))
      ->needs(name);
  command->add_option("--svg", options->svg, "Draw that cluster as an SVG picture")->needs(name);
  command->add_option("--dot", options->dot, "Write that cluster for Graphviz")->needs(name);
  CLI::Option* collective =
      command->add_option("--collective", options->collective.kind,
                          "What all_reduce, all_gather, ... take by size, and which algorithm runs");
  collective->needs(name)->excludes("--topology")->excludes("--svg")->excludes("--dot")->excludes("--diff");
  command->add_option("--algorithm", options->collective.algorithm, "Force it, as NCCL_ALGO")->needs(collective);
  command->add_option("--protocol", options->collective.protocol, "Force it, as NCCL_PROTO")->needs(collective);
  command->add_option("--ranks-per-node", options->collective.ranks_per_node, "Ranks of the collective on a node")
      ->check(integer_in(1, 100'000))
      ->needs(collective);
  command->footer(
      "Examples: echelon profiles dgx-h100\n"
      "          echelon profiles dgx-h100 --collective all_reduce --gpus 16 --algorithm tree\n"
      "          echelon profiles dgx-h100 --diff hgx-h200\n"
      "          echelon profiles dgx-h100 --topology --gpus 64 --svg cluster.svg");
  command->callback([options, &body] { body = [options] { return run_profiles(*options); }; });
}

}  // namespace echelon
