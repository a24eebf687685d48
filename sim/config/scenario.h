// A scenario: what `echelon run` predicts. One YAML document, scenarios/schema/scenario.schema.json.
//
//   echelon: 1
//   name: Llama-3 8B on 8 H100            # optional
//   source: where the run was published   # optional
//   model: {huggingface: models/llama-3.1-8b.json}  |  {name: llama-3.1-8b}  |  {layers: 32, hidden: 4096, heads: 32,
//   ...} cluster: {profile: dgx-h100, nodes: 1}           # or gpus: 8 workload: {sequence_length: 8192, global_batch:
//   16, precision: bf16, optimizer: adam, ...} strategy: {framework: torchtitan, data_parallel: auto, tensor_parallel:
//   1, ..., micro_batch: 2} measured: {iteration_time_s: 2.84, peak_memory_gib: 82.4}   # optional: shown beside the
//   prediction, never used by it
//   variability: {compute_cv: 0.03, link_cv: 0.1, runs: 100}        # optional, for full replay: seeded jitter
//   faults: [{rank: 5, compute_factor: 1.2}]                        # optional, for full replay: slow ranks
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/error.h"
#include "sim/config/document.h"
#include "sim/hardware/network_model.h"
#include "sim/hardware/placement.h"
#include "sim/hardware/profile.h"
#include "sim/hardware/shared_fabric.h"
#include "sim/hardware/variation.h"
#include "sim/model/model.h"
#include "sim/model/training_run.h"
#include "sim/model/workload.h"
#include "strategies/strategy.h"

namespace echelon {

// What was measured of the run: shown beside the prediction, never used by it.
struct Measured {
  std::optional<double> iteration_time_s;
  std::optional<double> peak_memory_gib;
};

// Whole nodes of one machine, part of a cluster.
struct MachineGroup {
  Profile profile;
  std::int64_t gpus = 0;
};

// What joins the groups of a mixed cluster; nothing known: as the network of the slower end.
struct GroupLink {
  ByteRate node_rate;  // of one node to those of other groups, one direction, achieved; 0 = as its adapters
  Seconds latency;     // of one message; at least that of the adapters
};

struct Scenario {
  std::string file;
  std::string name;  // the file's stem where the document gives none
  std::string source;
  Model model;
  Profile profile;                           // of the machine, of a mixed cluster its first group's
  std::vector<MachineGroup> further_groups;  // of a mixed cluster, whose ranks follow; nodes as wide as the first's
  GroupLink link;                            // between the groups
  std::int64_t gpus = 0;                     // all
  NetworkModel network = NetworkModel::analytic;
  RankPlacement placement;        // flow: where the ranks sit
  std::int64_t cluster_gpus = 0;  // flow: of the cluster that the job is placed in; 0 = as many as the job has
  Workload workload;
  Strategy strategy;  // mesh.data is resolved: mesh.ranks() == gpus
  Measured measured;
  std::optional<TrainingRun> training_run;
  Variability variability;  // what tells the ranks apart: seen by full replay alone
  std::vector<RankFault> faults;
  std::vector<LinkFault> link_faults;     // flow: what of the network is down
  std::vector<BackgroundJob> background;  // flow: other jobs on the same network

  std::int64_t whole_batch = 0;  // workload.global_batch is a part of this one, to bound it; 0 = it is all

  // Of one data-parallel rank and iteration.
  std::int64_t micro_batches() const {
    return (whole_batch > 0 ? whole_batch : workload.global_batch) / (strategy.mesh.data * strategy.micro_batch);
  }
  std::size_t machines() const { return 1 + further_groups.size(); }
  const Profile& machine(std::size_t group) const { return group == 0 ? profile : further_groups[group - 1].profile; }
  Profile& machine(std::size_t group) { return group == 0 ? profile : further_groups[group - 1].profile; }
  std::int64_t machine_gpus(std::size_t group) const {
    if (group > 0) return further_groups[group - 1].gpus;
    std::int64_t first = gpus;
    for (const MachineGroup& further : further_groups) first -= further.gpus;
    return first;
  }
  bool tells_ranks_apart() const { return !faults.empty() || variability.compute_cv > 0 || variability.link_cv > 0; }
};

// Turns a parsed HuggingFace config.json into a model. A parameter, because the room that knows that format stands
// beside this one. Throws InputError.
using HfReader = std::function<Model(const Value&)>;

// Loads a scenario with `--set` overrides applied. Throws InputError. Relative paths inside are relative to the file;
// names of profiles and models are looked up in the data directory (sim/config/data_dir.h).
Scenario load_scenario(const std::filesystem::path& path, const std::vector<std::string>& overrides,
                       const HfReader& hf_reader);

// The same for a document already parsed. `file` stands for the scenario in reports; paths inside the document are
// relative to its folder.
Scenario scenario_from_yaml(const Value& document, const std::filesystem::path& file, const HfReader& hf_reader);

// The `model` mapping alone: {huggingface: PATH}, {name: NAME}, or a shape in place. `folder`: what paths are relative
// to.
Model model_from_scenario(const Value& value, const std::filesystem::path& folder, const HfReader& hf_reader);

// A model of scenarios/models by its name; `where` is where the name stands. Throws InputError.
Model named_model(const std::string& name, const SourceLocation& where, const HfReader& hf_reader);

}  // namespace echelon
