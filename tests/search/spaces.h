// Thirty-six spaces: six models and clusters, six sets of axes on each, of a few hundred points each; and more of their
// own, of mixtures of experts, schedules that split backward passes, and hosts that fetch batches.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "sim/sweep/point_evaluator.h"

namespace echelon::test {

inline SpaceDocument space_document(const std::string& text) {
  return {text, "space.yaml", {}, [](const Value&) -> Model {
            throw std::logic_error("the scenario gives the model's shape itself");
          }};
}

// Model, cluster and workload, then the strategy's opening.
inline const std::vector<std::string> runs = {
    R"(echelon: 1
model: {layers: 12, hidden: 2048, heads: 16, vocabulary: 51200}
cluster: {profile: dgx-a100-40g, gpus: 16}
workload: {sequence_length: 2048, global_batch: 256}
strategy: {data_parallel: auto)",
    R"(echelon: 1
model: {layers: 24, hidden: 4096, heads: 32, vocabulary: 32000}
cluster: {profile: dgx-h100, gpus: 32}
workload: {sequence_length: 4096, global_batch: 256}
strategy: {data_parallel: auto, overlap_gradient_reduce: true)",
    R"(echelon: 1
model: {layers: 36, hidden: 8192, heads: 64, kv_heads: 8, vocabulary: 128256}
cluster: {profile: dgx-h100, gpus: 64}
workload: {sequence_length: 4096, global_batch: 512}
strategy: {data_parallel: auto, overlap_gradient_reduce: true, overlap_pipeline: true)",
    R"(echelon: 1
model: {layers: 24, hidden: 6144, heads: 48, vocabulary: 51200}
cluster: {profile: dgx1-v100-32g, gpus: 64}
workload: {sequence_length: 1024, global_batch: 512, precision: fp16}
strategy: {data_parallel: auto, synchronous_pipeline: true)",
    R"(echelon: 1
model: {layers: 16, hidden: 4096, heads: 32, kv_heads: 8, vocabulary: 128256}
cluster: {profile: dgx-b200, gpus: 16}
workload: {sequence_length: 8192, global_batch: 128}
strategy: {framework: torchtitan, data_parallel: auto)",
    R"(echelon: 1
model: {layers: 48, hidden: 1600, heads: 25, vocabulary: 50257}
cluster: {profile: pcie-8x-l40s, gpus: 8}
workload: {sequence_length: 1024, global_batch: 128}
strategy: {framework: deepspeed, data_parallel: auto)",
};

inline const std::vector<std::string> axes = {
    R"(}
sweep:
  axes:
    strategy.tensor_parallel: {powers_of_two: [1, 8]}
    strategy.pipeline_parallel: [1, 2, 3, 4, 6, 8]
    strategy.micro_batch: {powers_of_two: [1, 8]}
    strategy.recompute: [none, selective, full]
)",
    R"(}
sweep:
  axes:
    strategy.tensor_parallel: {powers_of_two: [1, 8]}
    strategy.pipeline_parallel: [2, 4, 8]
    strategy.virtual_stages: [1, 2, 3]
    strategy.micro_batch: [1, 2, 4]
    strategy.sequence_parallel: [false, true]
  where: [strategy.sequence_parallel == false or strategy.tensor_parallel > 1]
)",
    R"(}
sweep:
  axes:
    strategy.tensor_parallel: {powers_of_two: [1, 8]}
    strategy.pipeline_parallel: {powers_of_two: [1, 4]}
    strategy.sharding: [none, zero1, zero2, zero3]
    strategy.micro_batch: [1, 2, 4]
    strategy.recompute: [none, full]
)",
    R"(}
sweep:
  axes:
    strategy.schedule: [gpipe, 1f1b, looped_bfs, interleaved]
    strategy.virtual_stages: [1, 2]
    strategy.pipeline_parallel: [2, 4, 8]
    strategy.micro_batch: [1, 2, 4]
    strategy.tensor_parallel: [1, 2, 4]
)",
    R"(}
sweep:
  axes:
    workload.global_batch: {from: 128, to: 512, times: 2}
    strategy.pipeline_parallel: [1, 2, 4]
    strategy.tensor_parallel: [1, 2, 4]
    strategy.micro_batch: [1, 2, 4, 8]
    strategy.recompute: [none, selective]
)",
    R"(}
sweep:
  axes:
    cluster.gpus: [8, 16, 32]
    strategy.pipeline_parallel: [1, 2, 4]
    strategy.tensor_parallel: [1, 2, 4, 8]
    strategy.micro_batch: [1, 2, 4]
    strategy.recompute: [none, full]
)",
};

// Whole spaces.
inline const std::vector<std::string> further_spaces = {
    R"(echelon: 1
model: {layers: 16, hidden: 2048, heads: 16, kv_heads: 4, vocabulary: 51200, gated: true,
        moe: {experts: 32, top_k: 4, ffn: 1024}}
cluster: {profile: dgx-h100, gpus: 32}
workload: {sequence_length: 4096, global_batch: 256}
strategy: {data_parallel: auto, kernels: transformer_engine, sharding: zero1}
sweep:
  axes:
    strategy.tensor_parallel: [1, 2, 4]
    strategy.pipeline_parallel: [1, 2, 4]
    strategy.expert_parallel: [1, 2, 4, 8]
    strategy.micro_batch: [1, 2, 4]
    strategy.recompute: [none, selective]
    strategy.overlap_expert: [false, true]
)",
    R"(echelon: 1
model: {layers: 24, hidden: 4096, heads: 32, kv_heads: 8, vocabulary: 128256, gated: true,
        moe: {experts: 64, top_k: 6, ffn: 1536}}
cluster: {profile: dgx-b200, gpus: 64}
workload: {sequence_length: 8192, global_batch: 512}
strategy: {data_parallel: auto, kernels: transformer_engine, sharding: zero1, sequence_parallel: true}
sweep:
  axes:
    strategy.tensor_parallel: [1, 2, 4]
    strategy.pipeline_parallel: [2, 4, 8]
    strategy.schedule: [1f1b, interleaved, zb_h1, zb_v]
    strategy.virtual_stages: [1, 2]
    strategy.expert_parallel: [4, 8, 16]
    strategy.recompute: [none, selective, full]
)",
    R"(echelon: 1
model: {layers: 32, hidden: 4096, heads: 32, vocabulary: 32000}
cluster: {profile: dgx-h100, gpus: 32}
workload: {sequence_length: 4096, global_batch: 128}
strategy: {data_parallel: auto, overlap_gradient_reduce: true}
sweep:
  axes:
    strategy.schedule: [1f1b, zb_h1, zb_h2, zb_1p, zb_2p, zb_v, v_half, dualpipe, chimera]
    strategy.virtual_stages: [1, 2]
    strategy.pipeline_parallel: [2, 4, 8]
    strategy.tensor_parallel: [1, 2, 4]
    strategy.micro_batch: [1, 2]
    strategy.recompute: [none, full]
)",
    R"(echelon: 1
model: {layers: 24, hidden: 2048, heads: 16, vocabulary: 51200}
cluster: {profile: dgx-a100-40g, gpus: 16}
workload: {sequence_length: 2048, global_batch: 128}
strategy: {data_parallel: auto, synchronous_pipeline: true}
sweep:
  axes:
    strategy.batch_fetch: [ahead, end_stages, every_stage]
    strategy.tensor_parallel: [1, 2, 4]
    strategy.pipeline_parallel: [1, 2, 4]
    strategy.context_parallel: [1, 2]
    strategy.micro_batch: [1, 2, 4]
    strategy.sharding: [none, zero1, zero3]
)",
};

// Every space.
inline std::vector<std::string> all_spaces() {
  std::vector<std::string> texts = further_spaces;
  for (const std::string& run : runs)
    for (const std::string& axes_of_run : axes) texts.push_back(run + axes_of_run);
  return texts;
}

}  // namespace echelon::test
