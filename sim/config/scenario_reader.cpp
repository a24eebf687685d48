#include "sim/config/scenario_reader.h"

#include <algorithm>

#include "sim/config/data_dir.h"
#include "sim/config/strategy_config.h"
#include "sim/config/workload_config.h"

namespace echelon {

namespace {

constexpr auto section_names = std::to_array<std::string_view>({"model", "cluster", "strategy", "workload"});
constexpr auto names_on_cluster = std::to_array<std::string_view>({"faults", "background"});

const Key<ScenarioReading>& row_of(std::string_view name) {
  const auto& rows = scenario_keys();
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& key) { return key.name == name; });
  SIM_CHECK(row != rows.end(), "a scenario has no key {}", name);
  return *row;
}

bool begins_with_section(const std::string& path, const std::string& name) {
  return path.compare(0, name.size(), name) == 0 && (path.size() == name.size() || path[name.size()] == '.');
}

}  // namespace

ScenarioReader::ScenarioReader(const Value& document, const std::filesystem::path& file, HfReader hf_reader)
    : hf_reader_(std::move(hf_reader)),
      model_(section(document, "model")),
      cluster_(section(document, "cluster")),
      strategy_(section(document, "strategy")),
      workload_(section(document, "workload")) {
  reading_.scenario.file = file.string();
  reading_.scenario.name = file.stem().string();
  reading_.folder = file.parent_path();
  reading_.hf_reader = &hf_reader_;
  reading_.profiles = &profiles_;
  for (const auto& row : scenario_keys()) document.find(row.name);
  for (const auto& row : scenario_keys()) {
    if (std::find(section_names.begin(), section_names.end(), row.name) != section_names.end()) continue;
    if (row.presence == Presence::required) document.at(row.name);
    const auto value = document.find(row.name);
    if (!value) continue;
    if (std::find(names_on_cluster.begin(), names_on_cluster.end(), row.name) != names_on_cluster.end())
      on_cluster_.emplace_back(row.name, *value);
    else
      row.read(*value, reading_);
  }
  document.finish();
}

ScenarioReader::Section ScenarioReader::section(const Value& document, const std::string& name) const {
  const Value base = document.find(name).value_or(parse_text("{}", document.where().file).at_path(name));
  return {name, base, base, {}, false};
}

bool ScenarioReader::update(Section& section, const std::vector<Assignment>& changes) {
  std::vector<Assignment> own;
  for (const Assignment& change : changes)
    if (begins_with_section(change.path, section.name)) own.push_back(change);
  const auto same = [](const Assignment& a, const Assignment& b) {
    return a.path == b.path && a.value.is_same(b.value);
  };
  if (section.valid && std::equal(own.begin(), own.end(), section.changes.begin(), section.changes.end(), same))
    return false;
  section.valid = false;
  section.current = section.base;
  for (const Assignment& change : own) {
    if (change.path.size() == section.name.size())
      section.current = change.value.at_path(section.name);
    else
      section.current = with_values(section.current, {{change.path.substr(section.name.size() + 1), change.value}});
  }
  section.changes = std::move(own);
  return true;
}

template <class Read>
void ScenarioReader::read_section(Section& section, Read read) {
  section.valid = false;
  read();
  section.valid = true;
}

void ScenarioReader::read_cluster_section() {
  row_of("cluster").read(cluster_.current, reading_);
  for (const auto& [name, value] : on_cluster_) row_of(name).read(value, reading_);
}

const Scenario& ScenarioReader::read(const std::vector<Assignment>& changes) {
  Scenario& scenario = reading_.scenario;
  const SampleTokens tokens = tokens_of(scenario.model);
  if (update(model_, changes)) read_section(model_, [&] { row_of("model").read(model_.current, reading_); });
  if (update(cluster_, changes)) read_section(cluster_, [&] { read_cluster_section(); });
  const FrameworkKind before = unresolved_.framework;
  if (update(strategy_, changes))
    read_section(strategy_, [&] { unresolved_ = strategy_in(strategy_.current, reading_.folder); });
  scenario.strategy = unresolved_;
  if (update(workload_, changes) || unresolved_.framework != before || tokens_of(scenario.model) != tokens)
    read_section(workload_, [&] {
      scenario.workload = workload_from_yaml(workload_.current, unresolved_.framework, tokens_of(scenario.model));
    });
  resolve_strategy(strategy_.current, scenario);
  return scenario;
}

void ScenarioReader::check(const std::vector<Assignment>& changes) {
  if (update(model_, changes)) read_section(model_, [&] { row_of("model").read(model_.current, reading_); });
  update(cluster_, changes);
  ClusterDocument cluster;
  read_keys(cluster_.current, cluster_keys(), cluster);
  profile_files(cluster_.current, reading_.folder);
  update(strategy_, changes);
  const Strategy strategy = strategy_from_yaml(strategy_.current);
  update(workload_, changes);
  workload_from_yaml(workload_.current, strategy.framework, tokens_of(reading_.scenario.model));
  for (Section* section : {&cluster_, &strategy_, &workload_}) section->valid = false;
}

}  // namespace echelon
