// The shape of a transformer in a few lines of YAML: a `model` mapping in place, or scenarios/models/NAME.yaml.
//
//   {layers: 32, hidden: 4096, heads: 32, kv_heads: 8, ffn: 14336, vocabulary: 128256, gated: true, norm: rms_norm,
//    biases: none, positions: rotary, tied_embeddings: false}
//
// What is not said is as in GPT-2 and the models of arXiv:2104.04473: an MLP of four times the hidden size, LayerNorm,
// biases on every linear layer of a block, 2048 learned positions, the output projection tied to the embedding.
#pragma once

#include <vector>

#include "sim/config/document.h"
#include "sim/config/key_table.h"
#include "sim/model/transformer.h"

namespace echelon {

// Reads the mapping. Throws InputError for unknown or missing keys, numbers out of bounds, sizes that do not fit.
TransformerSpec transformer_from_yaml(const Value& value);

// Refuses a shape that no model can have (heads that do not divide, more experts a token than experts, ...), whatever
// document it came from. Throws InputError at `where`.
void check_transformer(const TransformerSpec& spec, const Value& where);

// JSON Schema of the mapping, in JSON text.
std::string transformer_type();

// Bounds of what documents may say, far above any model: products of three of them stay exact in 64 bits.
constexpr std::int64_t most_layers = 10'000;
constexpr std::int64_t most_features = 2'000'000;      // hidden size, heads, inner widths, experts
constexpr std::int64_t most_vocabulary = 100'000'000;  // also positions and windows, in tokens

}  // namespace echelon
