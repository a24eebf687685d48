// Slices of sequences that go through a pipeline one after another (TeraPipe, arXiv:2102.07988; Seq1F1B,
// arXiv:2406.03488). Causal attention makes a later token cost more, so that slices of equal times have unequal
// lengths.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "sim/graph/work.h"
#include "strategies/strategy.h"

namespace echelon {

// Where slice `slice` of the strategy lies in sequences of so many tokens.
SequencePart slice_part(const Strategy& strategy, double sequence_length, std::int32_t slice);

// What a slice of `length` tokens costs behind `begin` others, in any unit.
using SliceCost = std::function<double(std::int64_t begin, std::int64_t length)>;

// Lengths of `count` slices, multiples of `grain` but for the last, that make a pipeline of `ranks` fastest: the least
// sum of costs + (ranks - 1) * the largest of them (arXiv:2102.07988, section 3.3, by its dynamic programming: for each
// largest cost the least sum). `count` at most sequence_length / grain, rounded up.
std::vector<std::int64_t> balanced_slices(std::int64_t sequence_length, std::int64_t count, std::int64_t grain,
                                          std::int64_t ranks, const SliceCost& cost);

}  // namespace echelon
