// The shape of a transformer as papers' tables give it.
#pragma once

#include "sim/model/transformer.h"

namespace echelon::testing {

// GPT-style, with so many learned positions.
inline TransformerSpec gpt_shape(std::int64_t layers, std::int64_t hidden, std::int64_t heads, std::int64_t vocabulary,
                                 std::int64_t positions = 0) {
  TransformerSpec spec;
  spec.layers = layers;
  spec.hidden = hidden;
  spec.heads = heads;
  spec.vocabulary = vocabulary;
  spec.positions = positions;
  return spec;
}

}  // namespace echelon::testing
