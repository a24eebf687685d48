#include "sim/config/scenario.h"

#include "sim/config/background_config.h"
#include "sim/config/data_dir.h"
#include "sim/config/graph_config.h"
#include "sim/config/model_config.h"
#include "sim/config/profile_config.h"
#include "sim/config/scenario_keys.h"
#include "sim/config/strategy_config.h"
#include "sim/config/topology_config.h"
#include "sim/config/training_run_config.h"
#include "sim/config/variation_config.h"
#include "sim/config/workload_config.h"
#include "sim/model/transformer.h"

namespace echelon {

namespace {

constexpr std::int64_t schema_version = 1;

// PATH as written in a document that lies in `folder`.
std::filesystem::path resolved(const std::string& path, const std::filesystem::path& folder, const Value& value) {
  if (path.find('\n') != std::string::npos || path.empty())
    value.fail(value.path() + " is no path", "expected the path of a file");
  return folder / path;
}

bool is_path(const std::string& text) {
  const std::string extension = std::filesystem::path(text).extension().string();
  return text.find('/') != std::string::npos || extension == ".yaml" || extension == ".yml" || extension == ".json";
}

Model read_huggingface(const std::filesystem::path& path, const HfReader& hf_reader) {
  std::error_code error;
  const auto file = std::filesystem::is_directory(path, error) ? path / "config.json" : path;
  Model model = hf_reader(parse_file(file));
  if (model.source.empty()) model.source = file.string();
  return model;
}

Model model_from_yaml(const Value& value) {
  return is_graph_model(value) ? graph_model_from_yaml(value) : build_transformer(transformer_from_yaml(value));
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

void set_profile(const std::filesystem::path& file, ScenarioReading& reading) {
  if (reading.profiles == nullptr) {
    reading.scenario.profile = load_profile(file);
    return;
  }
  auto known = reading.profiles->find(file.string());
  if (known == reading.profiles->end()) known = reading.profiles->emplace(file.string(), load_profile(file)).first;
  if (reading.scenario.profile.file != known->second.file) reading.scenario.profile = known->second;
}

void read_cluster(const Value& value, ScenarioReading& reading) {
  ClusterDocument cluster;
  read_keys(value, cluster_keys(), cluster);
  set_profile(profile_file(value, reading.folder), reading);
  reading.scenario.gpus = gpu_count(value, cluster, reading.scenario.profile);
  reading.scenario.network = cluster.network;
  reading.scenario.placement = cluster.placement;
  reading.scenario.cluster_gpus = cluster.cluster_gpus;
  if (cluster.topology) reading.scenario.profile.topology = *cluster.topology;
}

void read_placement_list(const Value& value, ClusterDocument& cluster) {
  cluster.placement.kind = PlacementKind::listed;
  cluster.placement.where = value.where();
  for (const Value& item : value.items())
    cluster.placement.list.push_back(static_cast<std::int32_t>(item.integer(0, most_ranks)));
}

void read_strategy(const Value& value, ScenarioReading& reading) {
  reading.scenario.strategy = strategy_in(value, reading.folder);
  resolve_strategy(value, reading.scenario);
}

std::string model_type() {
  const KeyRow file{"huggingface", text_type(), "path of a HuggingFace config.json, or of the folder that holds it",
                    Presence::required};
  const KeyRow name{"name", text_type(), "a model of scenarios/models", Presence::required};
  return any_of({object_type({file}), object_type({name}), R"({"type":"object","required":["layers"]})"});
}

// `clusters: {NAME: {...}}` and its like make several scenarios of one document, and this is the reader of one.
Key<ScenarioReading> list_key(const VariantList& list) {
  return {{std::string(list.list), R"({"type":"object","additionalProperties":{"type":"object"}})",
           fmt::format("for compare: what each of several scenarios adds to `{}`, by name", list.section)},
          [](const Value& value, ScenarioReading&) {
            value.fail(value.path() + " makes several scenarios of this document",
                       "expected `echelon compare`, or one scenario");
          }};
}

std::vector<Key<ScenarioReading>> section_rows() {
  using Reading = ScenarioReading;
  return {
      {{"sweep", R"({"type":"object"})", "for sweep and search: axes of keys with their values, and conditions"},
       [](const Value&, Reading&) {}},
      {{"echelon", R"({"const":1})", "version of this document's schema", Presence::required},
       [](const Value& value, Reading&) { value.integer(schema_version, schema_version); }},
      text_key<Reading>(
          "name", [](Reading& r) -> std::string& { return r.scenario.name; }, "title for reports"),
      text_key<Reading>(
          "source", [](Reading& r) -> std::string& { return r.scenario.source; }, "where the run was published"),
      {{"model", model_type(), "what is trained: by file, by name, or its shape in place", Presence::required},
       [](const Value& value, Reading& r) { r.scenario.model = model_from_scenario(value, r.folder, *r.hf_reader); }},
      {{"cluster", object_type_of(cluster_keys()), "what it is trained on", Presence::required}, read_cluster},
      {{"strategy", object_type_of(strategy_keys()), "how it is laid over the GPUs", Presence::required},
       read_strategy},
      {{"workload", object_type_of(workload_keys()), "batch, sequence, number formats, optimizer", Presence::required},
       [](const Value& value, Reading& r) {
         r.scenario.workload = workload_from_yaml(value, r.scenario.strategy.framework, tokens_of(r.scenario.model));
       }},
      {{"training_run", object_type_of(training_run_keys()), "a whole run: tokens, failures, checkpoints, prices"},
       [](const Value& value, Reading& r) { r.scenario.training_run = training_run_from_yaml(value); }},
      {{"measured", object_type_of(measured_keys()), "what was measured: shown, never used"},
       [](const Value& value, Reading& r) { read_keys(value, measured_keys(), r.scenario.measured); }},
      {{"variability", object_type_of(variability_keys()), "jitter of every task, drawn for each rank by full replay"},
       [](const Value& value, Reading& r) { read_keys(value, variability_keys(), r.scenario.variability); }},
      {{"faults", faults_type(), "ranks that are slower than the others in full replay, and links that are down"},
       [](const Value& value, Reading& r) {
         Faults faults = faults_from_yaml(value, r.scenario.gpus, r.scenario.network);
         r.scenario.faults = std::move(faults.ranks);
         r.scenario.link_faults = std::move(faults.links);
       }},
      {{"background", background_type(), "with network: flow, other jobs on the same network"},
       [](const Value& value, Reading& r) { r.scenario.background = background_from_yaml(value, r.scenario.network); }},
  };
}

}  // namespace

SampleTokens tokens_of(const Model& model) {
  return model.graph ? SampleTokens::one : SampleTokens::sequence;
}

Strategy strategy_in(const Value& value, const std::filesystem::path& folder) {
  Strategy strategy = strategy_from_yaml(value);
  if (!strategy.schedule_file.empty())
    strategy.schedule_file = resolved(strategy.schedule_file, folder, value.at("schedule_file")).string();
  return strategy;
}

// Layers of a graph model are unlike each other: they lie balanced unless the scenario says how.
void resolve_strategy(const Value& value, Scenario& scenario) {
  Strategy& strategy = scenario.strategy;
  const bool says_how =
      !strategy.stage_layers.empty() || strategy.first_stage_layers > 0 || strategy.last_stage_layers > 0;
  if (scenario.model.graph && strategy.mesh.pipeline > 1 && !says_how) strategy.balances_stages = true;
  resolve_data_parallel(value, scenario.gpus, strategy);
}

std::filesystem::path profile_file(const Value& cluster, const std::filesystem::path& folder) {
  const Value profile = cluster.at("profile");
  const std::string name = profile.text();
  return is_path(name) ? resolved(name, folder, profile) : data_file(DataKind::profile, name, profile.where());
}

const std::vector<Key<ClusterDocument>>& cluster_keys() {
  static const std::vector<Key<ClusterDocument>> keys = {
      text_key<ClusterDocument>("profile", &ClusterDocument::profile, "hardware profile: a name, or the path of a file",
                                Presence::required),
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
      integer_key<ClusterDocument>("cluster_gpus", 1, most_ranks, &ClusterDocument::cluster_gpus,
                                   "of the cluster that the job is placed in; absent: as many as the job has"),
      {{"topology", topology_type(), "instead of the profile's"},
       [](const Value& value, ClusterDocument& cluster) { cluster.topology = topology_from_yaml(value); }},
  };
  return keys;
}

const std::vector<Key<Measured>>& measured_keys() {
  static const std::vector<Key<Measured>> keys = {
      number_key<Measured>("iteration_time_s", 1e-9, 1e9, &Measured::iteration_time_s, "seconds of one optimizer step"),
      number_key<Measured>("peak_memory_gib", 1e-9, 1e9, &Measured::peak_memory_gib,
                           "GiB at the peak of the fullest GPU, counted as strategy.peak_memory says"),
  };
  return keys;
}

const std::vector<Key<ScenarioReading>>& scenario_keys() {
  static const std::vector<Key<ScenarioReading>> keys = [] {
    std::vector<Key<ScenarioReading>> all;
    for (const VariantList& list : variant_lists) all.push_back(list_key(list));
    const std::vector<Key<ScenarioReading>> sections = section_rows();
    all.insert(all.end(), sections.begin(), sections.end());
    return all;
  }();
  return keys;
}

Model model_from_scenario(const Value& value, const std::filesystem::path& folder, const HfReader& hf_reader) {
  const auto path = value.find("huggingface");
  const auto name = value.find("name");
  if (path || (name && value.keys().size() == 1)) {
    value.finish();
    if (path && name) name->fail("model has both 'name' and 'huggingface'", "expected one of them");
    return path ? read_huggingface(resolved(path->text(), folder, *path), hf_reader)
                : named_model(name->text(), name->where(), hf_reader);
  }
  return model_from_yaml(value);
}

Model named_model(const std::string& name, const SourceLocation& where, const HfReader& hf_reader) {
  const auto file = data_file(DataKind::model, name, where);
  if (file.extension() == ".json") return read_huggingface(file, hf_reader);
  Model model = model_from_yaml(parse_file(file));
  if (model.name.empty()) model.name = name;
  return model;
}

Scenario scenario_from_yaml(const Value& document, const std::filesystem::path& file, const HfReader& hf_reader) {
  ScenarioReading reading;
  reading.scenario.file = file.string();
  reading.scenario.name = file.stem().string();
  reading.folder = file.parent_path();
  reading.hf_reader = &hf_reader;
  read_keys(document, scenario_keys(), reading);
  return std::move(reading.scenario);
}

Scenario load_scenario(const std::filesystem::path& path, const std::vector<std::string>& overrides,
                       const HfReader& hf_reader) {
  return scenario_from_yaml(with_overrides(parse_file(path), overrides), path, hf_reader);
}

}  // namespace echelon
