// A library of made-up profiles and shapes, and rows to translate with it.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "sim/app/truth_scenario.h"

namespace echelon::testing {

inline Profile fake_profile(const std::string& name, bool eight_bit) {
  Profile profile;
  profile.name = name;
  profile.device.name = name;
  for (const DataType type : {DataType::fp32, DataType::tf32, DataType::fp16, DataType::bf16})
    profile.device.peak[static_cast<std::size_t>(type)] = teraflops(1);
  if (eight_bit) profile.device.peak[static_cast<std::size_t>(DataType::fp8)] = teraflops(2);
  profile.network.gpus_per_node = 8;
  return profile;
}

// Profiles by the names given; deepseek-v3 as 3 dense layers before 58 mixtures, qwen3-30b-a3b as the same.
inline TruthLibrary fake_library(std::map<std::string, Profile> profiles) {
  TruthLibrary library;
  library.profiles = [profiles = std::move(profiles)](const std::string& name) -> const Profile* {
    const auto found = profiles.find(name);
    return found == profiles.end() ? nullptr : &found->second;
  };
  library.shapes = [](const std::string& name) -> std::optional<TransformerSpec> {
    if (name != "deepseek-v3" && name != "qwen3-30b-a3b") return std::nullopt;
    TransformerSpec spec;
    spec.name = name;
    spec.layers = 61;
    spec.hidden = 7168;
    spec.heads = spec.kv_heads = 128;
    spec.head_dim = 56;
    spec.ffn = 18432;
    spec.vocabulary = 129280;
    spec.mixture = MixtureOfExperts{256, 8, 2048, 2048};
    spec.layer_specs.assign(61, {LayerKind::mixture, 0});
    for (std::size_t layer = 0; layer < 3; ++layer) spec.layer_specs[layer].kind = LayerKind::dense;
    return spec;
  };
  return library;
}

inline TruthLibrary usual_library() {
  Profile b200 = fake_profile("dgx-b200", true);
  b200.device.peak[static_cast<std::size_t>(DataType::mxfp8)] = teraflops(2);
  return fake_library({{"dgx-a100-80g", fake_profile("dgx-a100-80g", false)},
                       {"dgx-b200", b200},
                       {"dgx-h100", fake_profile("dgx-h100", true)},
                       {"dgx1-v100-32g", fake_profile("dgx1-v100-32g", false)}});
}

// GPT 22B on eight A100 under Megatron-LM of 2021.
inline TruthRow gpt_row() {
  TruthRow row;
  row.file = "t.csv";
  row.id = "r1";
  row.source = "Megatron SC'21 Table 1";
  row.model = "gpt-22B";
  row.layers = 48;
  row.hidden = 6144;
  row.ffn = 24576;
  row.heads = row.kv_heads = 64;
  row.vocab = 50257;
  row.seq_len = 2048;
  row.gpu = "A100-SXM-80GB";
  row.gpus = 8;
  row.gpus_per_node = 8;
  row.dp = 1;
  row.tp = 8;
  row.pp = 1;
  row.zero_or_fsdp = "none (DDP)";
  row.seq_parallel = "no";
  row.recompute = "full";
  row.precision = "fp16";
  row.micro_batch = 4;
  row.global_batch = 4;
  row.iter_time_s = 1.42;
  return row;
}

}  // namespace echelon::testing
