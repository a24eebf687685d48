#include "sim/config/scenario.h"

#include "sim/config/background_config.h"
#include "sim/config/cluster_config.h"
#include "sim/config/data_dir.h"
#include "sim/config/graph_config.h"
#include "sim/config/model_config.h"
#include "sim/config/run_limits_config.h"
#include "sim/config/scenario_keys.h"
#include "sim/config/strategy_config.h"
#include "sim/config/training_run_config.h"
#include "sim/config/variation_config.h"
#include "sim/config/workload_config.h"
#include "sim/model/transformer.h"

namespace echelon {

namespace {

constexpr std::int64_t schema_version = 1;

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
      {{"search", object_type_of(search_keys()), "for search and compare: what a whole run may take at most"},
       [](const Value& value, Reading&) {
         RunLimits limits;
         read_keys(value, search_keys(), limits);
       }},
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
       [](const Value& value, Reading& r) { r.scenario.variability = variability_from_yaml(value); }},
      {{"faults", faults_type(), "ranks that are slower than the others in full replay, and links that are down"},
       [](const Value& value, Reading& r) {
         Faults faults = faults_from_yaml(value, r.scenario.gpus, r.scenario.network);
         r.scenario.faults = std::move(faults.ranks);
         r.scenario.link_faults = std::move(faults.links);
       }},
      {{"background", background_type(), "with network: flow, other jobs on the same network"},
       [](const Value& value, Reading& r) {
         r.scenario.background =
             background_from_yaml(value, r.scenario.network, r.scenario.profile.network.gpus_per_node);
       }},
  };
}

}  // namespace

std::filesystem::path path_in(const std::string& path, const std::filesystem::path& folder, const Value& value) {
  if (path.find('\n') != std::string::npos || path.empty())
    value.fail(value.path() + " is no path", "expected the path of a file");
  std::error_code error;  // whoever types one means the folder that he is in
  const bool typed = value.where().file.starts_with("--set ") && std::filesystem::is_regular_file(path, error);
  return typed ? std::filesystem::path(path) : folder / path;
}

SampleTokens tokens_of(const Model& model) {
  return model.graph ? SampleTokens::one : SampleTokens::sequence;
}

Strategy strategy_in(const Value& value, const std::filesystem::path& folder) {
  Strategy strategy = strategy_from_yaml(value);
  if (!strategy.schedule_file.empty())
    strategy.schedule_file = path_in(strategy.schedule_file, folder, value.at("schedule_file")).string();
  return strategy;
}

// Layers of a graph model are unlike each other: they lie balanced unless the scenario says how.
void resolve_strategy(const Value& value, Scenario& scenario) {
  Strategy& strategy = scenario.strategy;
  const bool says_how = !strategy.stage_layers.empty() || !strategy.rank_layers.empty() ||
                        strategy.first_stage_layers > 0 || strategy.last_stage_layers > 0;
  if (scenario.model.graph && strategy.mesh.pipeline > 1 && !says_how) strategy.balances_stages = true;
  check_rank_layers(value, static_cast<std::int64_t>(scenario.model.layers.size()), strategy);
  resolve_data_parallel(value, scenario.gpus, strategy);
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
    return path ? read_huggingface(path_in(path->text(), folder, *path), hf_reader)
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
