// What the tests of the config room share.
#pragma once

#include <string>
#include <string_view>

#include "sim/config/document.h"
#include "sim/config/scenario.h"
#include "tests/error_of.h"

namespace echelon::test {

// The message of parsing the text under the name "doc".
inline std::string parse_error(std::string_view text) {
  return error_of([&] { parse_text(text, "doc"); });
}

// A HuggingFace reader that knows nothing but the number of heads.
inline Model stub_model(const Value& config) {
  config.accept_unknown();
  Model model;
  model.name = "stub";
  model.heads = config.at("num_attention_heads").integer(1, 1000);
  return model;
}

// A scenario with every mapping in it; line 8 is the strategy's first key.
inline constexpr std::string_view whole_scenario = R"(echelon: 1
name: a test
source: nowhere
model: {huggingface: data/tiny_model.json}
cluster: {profile: dgx-h100, nodes: 2}
workload: {sequence_length: 8192, global_batch: 64, precision: bf16, optimizer: adam}
strategy:
  framework: torchtitan
  data_parallel: auto
  tensor_parallel: 4
  pipeline_parallel: 2
  micro_batch: 2
  recompute: {kind: full, layers: 1}
measured: {iteration_time_s: 2.84, peak_memory_gib: 82.4}
)";

// Reads a scenario text as if it lay in tests/config.
inline Scenario scenario_of(std::string_view text) {
  const std::filesystem::path file = std::filesystem::path(ECHELON_SOURCE_DIR) / "tests/config/scenario.yaml";
  return scenario_from_yaml(parse_text(text, "doc"), file, stub_model);
}

}  // namespace echelon::test
