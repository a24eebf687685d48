// Shapes of models from HuggingFace's config.json (transformers' PretrainedConfig.to_dict()).
//
// `model_type` says which family's reader it is for; each field goes by the names that families gave it (n_embd and
// hidden_size are one thing). What a family's modeling code fixes and its config does not say (biases, norms, tied
// embeddings by default) stands in one table, hf_families.cpp. Keys that do not bear on the shape are ignored.
//
// The model is the one that is trained: the language model alone of multimodal ones (`text_config`), without
// multi-token-prediction layers, without parameters that no gradient moves (DeepSeek-V3's e_score_correction_bias).
#pragma once

#include <string>
#include <vector>

#include "sim/config/document.h"
#include "sim/model/transformer.h"

namespace echelon {

// Throws InputError at its place for an unknown model_type (the message lists those known), a missing field (named with
// its aliases), a value out of bounds or a variant that is not supported.
TransformerSpec transformer_from_hf(const Value& root);

// Every model_type that transformer_from_hf reads, in the order of the table.
std::vector<std::string> hf_model_types();

}  // namespace echelon
