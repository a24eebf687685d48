// The key tables of a scenario that have no header of their own. Private to the config room.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/config/key_table.h"
#include "sim/config/scenario.h"
#include "sim/config/workload_config.h"

namespace echelon {

// `{profile: NAME or PATH, nodes: N}` of `cluster: {groups: [...]}`.
struct GroupDocument {
  std::string profile;
  std::int64_t nodes = 0;
};

// `cluster: {profile: NAME or PATH, nodes: N | gpus: N, gpus_per_node: N}` as it is written; 0 = absent.
struct ClusterDocument {
  std::string profile;
  std::vector<GroupDocument> groups;  // instead of profile, nodes and gpus
  GroupLink link;
  std::int64_t nodes = 0;
  std::int64_t gpus = 0;
  std::int64_t gpus_per_node = 0;
  NetworkModel network = NetworkModel::analytic;
  RankPlacement placement;
  std::int64_t cluster_gpus = 0;
  std::optional<TopologySpec> topology;
  std::optional<double> usd_per_gpu_hour;
};

// `clusters: {NAME: {...}}` beside `cluster: {...}`, and so on (sim/config/variants.h).
struct VariantList {
  std::string_view list;
  std::string_view section;
};
inline constexpr auto variant_lists = std::to_array<VariantList>(
    {{"models", "model"}, {"clusters", "cluster"}, {"workloads", "workload"}, {"strategies", "strategy"}});

// What the readers of the outermost keys share.
struct ScenarioReading {
  Scenario scenario;
  std::filesystem::path folder;
  const HfReader* hf_reader = nullptr;
  std::map<std::string, Profile>* profiles = nullptr;  // those read before, by file; null: nothing is kept
};

const std::vector<Key<ClusterDocument>>& cluster_keys();
// PATH as written in a document that lies in `folder`. Throws InputError for an empty one.
std::filesystem::path path_in(const std::string& path, const std::filesystem::path& folder, const Value& value);
// The files of the profiles that a `cluster` mapping names, relative paths taken from `folder`. Throws InputError.
std::vector<std::filesystem::path> profile_files(const Value& cluster, const std::filesystem::path& folder);
const std::vector<Key<Measured>>& measured_keys();
// What a sample of the model is.
SampleTokens tokens_of(const Model& model);
// The `strategy` mapping as it stands; its paths are relative to `folder`.
Strategy strategy_in(const Value& value, const std::filesystem::path& folder);
// What of scenario.strategy follows from the model and the cluster. `value`: the mapping, for messages.
void resolve_strategy(const Value& value, Scenario& scenario);
// In the order of reading: the cluster before the strategy (which may need its size), that before the workload.
const std::vector<Key<ScenarioReading>>& scenario_keys();

}  // namespace echelon
