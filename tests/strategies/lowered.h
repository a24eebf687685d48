// Tiny models and what tests ask of a lowering.
#pragma once

#include "sim/engine/replay.h"
#include "sim/model/transformer.h"
#include "strategies/intra/intra.h"
#include "strategies/lower.h"
#include "tests/gpt_shape.h"

namespace echelon::testing {

// GPT-style, `layers` layers of 4 heads.
inline Model tiny_gpt(std::int64_t layers) {
  return build_transformer(gpt_shape(layers, 64, 4, 128, 32));
}

// One rank's share of the first layer.
inline LayerProgram local_layer(const TransformerSpec& spec, const Strategy& strategy) {
  const Model model = build_transformer(spec);
  return local_program(model.blocks[static_cast<std::size_t>(model.layers[0])], strategy);
}

}  // namespace echelon::testing
