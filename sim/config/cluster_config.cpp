#include "sim/config/cluster_config.h"

#include <fmt/format.h>

#include <array>

#include "sim/config/data_dir.h"
#include "sim/config/profile_config.h"
#include "sim/config/strategy_config.h"
#include "sim/config/topology_config.h"

namespace echelon {

namespace {

constexpr double most_rate = 1e6;     // GB/s
constexpr double most_latency = 1e6;  // us
constexpr double most_price = 1e6;    // USD

bool is_path(const std::string& text) {
  const std::string extension = std::filesystem::path(text).extension().string();
  return text.find('/') != std::string::npos || extension == ".yaml" || extension == ".yml" || extension == ".json";
}

std::filesystem::path profile_file(const Value& holder, const std::filesystem::path& folder) {
  const Value profile = holder.at("profile");
  const std::string name = profile.text();
  return is_path(name) ? path_in(name, folder, profile) : data_file(DataKind::profile, name, profile.where());
}

const std::vector<Key<GroupDocument>>& group_keys() {
  static const std::vector<Key<GroupDocument>> keys = {
      text_key<GroupDocument>("profile", &GroupDocument::profile, "hardware profile: a name, or the path of a file",
                              Presence::required),
      integer_key<GroupDocument>("nodes", 1, most_ranks, &GroupDocument::nodes, "machines of that profile",
                                 Presence::required),
  };
  return keys;
}

const std::vector<Key<GroupLink>>& link_keys() {
  static const std::vector<Key<GroupLink>> keys = {
      {{"node_gb_s", number_type(0, most_rate),
        "10^9 bytes a second of one node to the others, one direction, achieved"},
       [](const Value& value, GroupLink& link) { link.node_rate = gigabytes_per_second(value.number(0, most_rate)); }},
      {{"latency_us", number_type(0, most_latency), "microseconds of one message"},
       [](const Value& value, GroupLink& link) { link.latency = microseconds(value.number(0, most_latency)); }},
  };
  return keys;
}

// GPUs of the cluster; `nodes` and `gpus` agree where both are there.
std::int64_t gpu_count(const Value& value, const ClusterDocument& cluster, const Profile& profile) {
  const std::int64_t width = profile.network.gpus_per_node;
  if (cluster.gpus_per_node != 0 && cluster.gpus_per_node != width)
    value.at("gpus_per_node")
        .fail(fmt::format("gpus_per_node is {} but profile {} has {}", cluster.gpus_per_node, profile.name, width),
              fmt::format("expected {}, or another profile", width));
  if (cluster.nodes == 0 && cluster.gpus == 0)
    value.fail("cluster has neither 'nodes' nor 'gpus'", "expected one of them, such as 'nodes: 1'");
  if (cluster.nodes != 0 && cluster.gpus != 0 && cluster.nodes * width != cluster.gpus)
    value.at("gpus").fail(
        fmt::format("{} nodes of {} have {} GPUs, not {}", cluster.nodes, width, cluster.nodes * width, cluster.gpus),
        "expected 'nodes' or 'gpus' alone");
  const std::int64_t gpus = cluster.gpus != 0 ? cluster.gpus : cluster.nodes * width;
  if (gpus > most_ranks)
    value.fail(fmt::format("the cluster has {} GPUs", gpus), fmt::format("expected at most {}", most_ranks));
  if (gpus > width && profile.network.adapters == 0)
    value.fail(fmt::format("{} GPUs need {} nodes, and profile {} has no network between nodes", gpus,
                           (gpus + width - 1) / width, profile.name),
               fmt::format("expected at most {} GPUs, or another profile", width));
  if (gpus > width && gpus % width != 0)
    value.at("gpus").fail(fmt::format("{} GPUs do not fill nodes of {}", gpus, width),
                          fmt::format("expected {} or {}", gpus / width * width, (gpus / width + 1) * width));
  return gpus;
}

void set_profile(const std::filesystem::path& file, const ScenarioReading& reading, Profile& profile) {
  if (reading.profiles == nullptr) {
    profile = load_profile(file);
    return;
  }
  auto known = reading.profiles->find(file.string());
  if (known == reading.profiles->end()) known = reading.profiles->emplace(file.string(), load_profile(file)).first;
  if (profile.file != known->second.file) {
    profile = known->second;
    return;
  }
  // What a scenario may have exchanged.
  profile.topology = known->second.topology;
  profile.price_usd_per_gpu_hour = known->second.price_usd_per_gpu_hour;
  profile.price_source = known->second.price_source;
  profile.sources = known->second.sources;
}

// The profile's own price has no part in what is predicted then.
void set_price(double usd_per_gpu_hour, Profile& profile) {
  std::erase(profile.sources, profile.price_source);
  profile.price_usd_per_gpu_hour = usd_per_gpu_hour;
  profile.price_source = "the scenario's cluster.usd_per_gpu_hour";
  profile.sources.push_back(profile.price_source);
}

// Keys that say of one machine what groups say of several.
void refuse_beside_groups(const Value& value) {
  constexpr auto others =
      std::to_array({"profile", "nodes", "gpus", "gpus_per_node", "placement", "placement_seed", "placement_list",
                     "placement_file", "cluster_gpus", "topology", "usd_per_gpu_hour"});
  for (const char* key : others)
    if (const auto other = value.find(key))
      other->fail(fmt::format("{} stands beside groups", other->path()), "expected one of them");
}

void read_groups(const Value& value, const ClusterDocument& cluster, ScenarioReading& reading) {
  refuse_beside_groups(value);
  Scenario& scenario = reading.scenario;
  const std::vector<Value> items = value.at("groups").items();
  if (items.empty()) value.at("groups").fail("cluster.groups is empty", "expected {profile: NAME, nodes: N}, ...");
  scenario.further_groups.resize(items.size() - 1);
  scenario.gpus = 0;
  const auto files = profile_files(value, reading.folder);
  for (std::size_t i = 0; i < items.size(); ++i) {
    Profile& profile = scenario.machine(i);
    set_profile(files[i], reading, profile);
    const std::int64_t width = profile.network.gpus_per_node;
    if (profile.network.adapters == 0)
      items[i].at("profile").fail(fmt::format("profile {} has no network between nodes", profile.name),
                                  "expected another profile");
    if (width != scenario.profile.network.gpus_per_node)
      items[i].at("profile").fail(fmt::format("nodes of {} have {} GPUs, those of {} {}", profile.name, width,
                                              scenario.profile.name, scenario.profile.network.gpus_per_node),
                                  "expected nodes of as many GPUs in every group");
    const std::int64_t gpus = cluster.groups[i].nodes * width;
    if (i > 0) scenario.further_groups[i - 1].gpus = gpus;
    scenario.gpus += gpus;
    if (scenario.gpus > most_ranks)
      items[i].fail(fmt::format("the cluster has {} GPUs", scenario.gpus),
                    fmt::format("expected at most {}", most_ranks));
  }
  scenario.link = cluster.link;
}

void read_placement_list(const Value& value, ClusterDocument& cluster) {
  cluster.placement.kind = PlacementKind::listed;
  cluster.placement.where = value.where();
  for (const Value& item : value.items())
    cluster.placement.list.push_back(static_cast<std::int32_t>(item.integer(0, most_ranks)));
}

void read_placement_file(const Value& cluster, const std::filesystem::path& folder, ClusterDocument& document) {
  const auto file = cluster.find("placement_file");
  if (!file) return;
  if (cluster.find("placement_list")) file->fail("placement_file stands beside placement_list", "expected one of them");
  read_placement_list(parse_file(path_in(file->text(), folder, *file)), document);
}

// Who sits where, on how large a cluster and of which shape counts where links do.
void check_placement(const Value& value, const ClusterDocument& cluster, std::int64_t gpus) {
  if (cluster.placement.kind != PlacementKind::packed && cluster.network == NetworkModel::analytic)
    throw InputError(cluster.placement.where,
                     fmt::format("{} ranks differ from packed ones on links, which network: analytic does not know",
                                 name_of(cluster.placement.kind)),
                     "expected cluster.network: flow");
  for (const char* key : {"topology", "cluster_gpus"})
    if (const auto links = value.find(key); links && cluster.network == NetworkModel::analytic)
      links->fail(fmt::format("{} shapes links, which network: analytic does not know", links->path()),
                  "expected cluster.network: flow");
  const auto seed = value.find("placement_seed");
  if (seed && cluster.placement.kind != PlacementKind::fragmented)
    seed->fail(fmt::format("{} says nothing of {} ranks", seed->path(), name_of(cluster.placement.kind)),
               "expected placement: fragmented beside it");
  const auto placement = value.find("placement");
  if (placement && cluster.placement.kind == PlacementKind::listed &&
      placement->one_of<PlacementKind>() != PlacementKind::listed)
    placement->fail(fmt::format("placement: {} stands beside a list of ranks", placement->text()),
                    "expected placement: listed, or no list");
  if (cluster.cluster_gpus > 0 && cluster.cluster_gpus < gpus)
    value.at("cluster_gpus")
        .fail(fmt::format("a job of {} GPUs in a cluster of {}", gpus, cluster.cluster_gpus),
              fmt::format("expected {} or more", gpus));
}

}  // namespace

std::vector<std::filesystem::path> profile_files(const Value& cluster, const std::filesystem::path& folder) {
  const auto groups = cluster.find("groups");
  if (!groups) return {profile_file(cluster, folder)};
  std::vector<std::filesystem::path> files;
  for (const Value& group : groups->items()) files.push_back(profile_file(group, folder));
  return files;
}

void read_cluster(const Value& value, ScenarioReading& reading) {
  ClusterDocument cluster;
  read_keys(value, cluster_keys(), cluster);
  read_placement_file(value, reading.folder, cluster);
  Scenario& scenario = reading.scenario;
  scenario.network = cluster.network;
  scenario.placement = cluster.placement;
  scenario.cluster_gpus = cluster.cluster_gpus;
  scenario.link = {};
  if (value.find("groups")) return read_groups(value, cluster, reading);
  if (const auto link = value.find("link"))
    link->fail("cluster.link joins groups", "expected cluster.groups beside it");
  scenario.further_groups.clear();
  set_profile(profile_files(value, reading.folder).front(), reading, scenario.profile);
  scenario.gpus = gpu_count(value, cluster, scenario.profile);
  check_placement(value, cluster, scenario.gpus);
  if (cluster.topology) scenario.profile.topology = *cluster.topology;
  if (cluster.usd_per_gpu_hour) set_price(*cluster.usd_per_gpu_hour, scenario.profile);
}

const std::vector<Key<ClusterDocument>>& cluster_keys() {
  static const std::vector<Key<ClusterDocument>> keys = {
      text_key<ClusterDocument>("profile", &ClusterDocument::profile,
                                "hardware profile: a name, or the path of a file"),
      {{"groups", list_type(object_type_of(group_keys())),
        "instead of profile: unlike machines in one cluster, whose ranks follow each other in this order"},
       [](const Value& value, ClusterDocument& cluster) {
         for (const Value& item : value.items()) read_keys(item, group_keys(), cluster.groups.emplace_back());
       }},
      {{"link", object_type_of(link_keys()), "between groups; what is left out is as the slower end's network"},
       [](const Value& value, ClusterDocument& cluster) { read_keys(value, link_keys(), cluster.link); }},
      integer_key<ClusterDocument>("nodes", 1, most_ranks, &ClusterDocument::nodes, "machines of that profile"),
      integer_key<ClusterDocument>("gpus", 1, most_ranks, &ClusterDocument::gpus,
                                   "GPUs, instead of nodes: a part of one node, or whole nodes"),
      integer_key<ClusterDocument>("gpus_per_node", 1, most_ranks, &ClusterDocument::gpus_per_node,
                                   "checked against the profile"),
      enum_key<NetworkModel, ClusterDocument>("network", &ClusterDocument::network,
                                              "how the time of what crosses links is found"),
      {{"placement", enum_type<PlacementKind>(), "with network: flow, where the ranks sit"},
       [](const Value& value, ClusterDocument& cluster) {
         cluster.placement.kind = value.one_of<PlacementKind>();
         cluster.placement.where = value.where();
       }},
      {{"placement_seed", integer_type(0, most_ranks), "of a fragmented placement"},
       [](const Value& value, ClusterDocument& cluster) {
         cluster.placement.seed = static_cast<std::uint64_t>(value.integer(0, most_ranks));
       }},
      {{"placement_list", list_type(integer_type(0, most_ranks)), "of a listed placement: the GPU of each rank"},
       read_placement_list},
      {{"placement_file", text_type(), "the same from a file that is such a list"},
       [](const Value& value, ClusterDocument&) { value.text(); }},
      integer_key<ClusterDocument>("cluster_gpus", 1, most_ranks, &ClusterDocument::cluster_gpus,
                                   "of the cluster that the job is placed in; absent: as many as the job has"),
      number_key<ClusterDocument>("usd_per_gpu_hour", 0, most_price, &ClusterDocument::usd_per_gpu_hour,
                                  "rent of this cluster; by default the profile's"),
      {{"topology", topology_type(), "instead of the profile's"},
       [](const Value& value, ClusterDocument& cluster) { cluster.topology = topology_from_yaml(value); }},
  };
  return keys;
}

}  // namespace echelon
