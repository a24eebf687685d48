// How many rows each expert of a ragged grouped product has. C++17 and the standard library alone, as device_layer.h.
#pragma once

#include <cstdint>

namespace echelon {

constexpr const char* ragged_product = "ragged_product";  // the operation; "product" gives all as many

// Of expert 0, 1, ... in turn: evenly from next to none to twice the mean, `mean` x `experts` in all. A router without
// balance spreads them like that (their standard deviation is 0.58 of the mean); which spread a training run has it
// says itself, so this one is chosen, not measured.
constexpr std::int64_t rows_of_expert(std::int64_t mean, std::int64_t expert, std::int64_t experts) {
  return mean * (expert + 1) * (expert + 1) / experts - mean * expert * expert / experts;
}

}  // namespace echelon
