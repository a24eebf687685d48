// A small model on two nodes: a space that is evaluated in milliseconds.
#pragma once

#include <stdexcept>
#include <string>

#include "sim/sweep/point_evaluator.h"

namespace echelon::test {

inline const std::string small_scenario = R"(echelon: 1
model: {layers: 8, hidden: 1024, heads: 16, vocabulary: 32000}
cluster: {profile: dgx-h100, gpus: 16}
workload: {sequence_length: 1024, global_batch: 32, precision: bf16}
strategy: {framework: megatron, data_parallel: auto}
sweep:
  axes:
)";

// Three tensor degrees, four of the pipeline, two micro-batches.
inline const std::string small_axes = R"(    strategy.tensor_parallel: {powers_of_two: [1, 4]}
    strategy.pipeline_parallel: {from: 1, to: 8, times: 2}
    strategy.micro_batch: [1, 2]
)";

inline SpaceDocument document_of(const std::string& axes, std::vector<std::string> overrides = {}) {
  return {small_scenario + axes, "small.yaml", std::move(overrides),
          [](const Value&) -> Model { throw std::logic_error("the scenario gives the model's shape itself"); }};
}

inline Value parsed(const SpaceDocument& document) {
  return parse_text(document.text, document.file.string());
}

}  // namespace echelon::test
