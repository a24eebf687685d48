// A scenario: what `echelon run` predicts. One YAML document, scenarios/schema/scenario.schema.json.
//
//   echelon: 1
//   name: Llama-3 8B on 8 H100            # optional
//   source: where the run was published   # optional
//   model: {huggingface: models/llama-3.1-8b.json}  |  {name: llama-3.1-8b}  |  {layers: 32, hidden: 4096, heads: 32, ...}
//   cluster: {profile: dgx-h100, nodes: 1}           # or gpus: 8
//   workload: {sequence_length: 8192, global_batch: 16, precision: bf16, optimizer: adam, ...}
//   strategy: {framework: torchtitan, data_parallel: auto, tensor_parallel: 1, ..., micro_batch: 2}
//   measured: {iteration_time_s: 2.84, peak_memory_gib: 82.4}   # optional: shown beside the prediction, never used by it
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/error.h"
#include "sim/hardware/profile.h"
#include "sim/model/model.h"
#include "sim/model/workload.h"
#include "strategies/strategy.h"

namespace echelon {

struct Measured {
  std::optional<double> iteration_time_s;
  std::optional<double> peak_memory_gib;
};

struct Scenario {
  std::string file;
  std::string name;
  std::string source;
  Model model;
  Profile profile;
  std::int64_t gpus = 0;
  Workload workload;
  Strategy strategy;
  Measured measured;
};

// Loads a scenario with `--set` overrides applied. Throws InputError. Relative paths inside are relative to the file;
// names of profiles and models are looked up in the data directory.
Scenario load_scenario(const std::filesystem::path& path, const std::vector<std::string>& overrides);

}  // namespace echelon
