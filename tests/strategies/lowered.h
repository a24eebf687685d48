// Tiny models and what tests ask of a lowering.
#pragma once

#include "sim/engine/replay.h"
#include "sim/model/transformer.h"
#include "strategies/lower.h"

namespace echelon::testing {

// GPT-style, `layers` layers of 4 heads.
inline Model tiny_gpt(std::int64_t layers) {
  TransformerSpec spec;
  spec.layers = layers;
  spec.hidden = 64;
  spec.heads = 4;
  spec.vocabulary = 128;
  spec.positions = 32;
  return build_transformer(spec);
}

}  // namespace echelon::testing
