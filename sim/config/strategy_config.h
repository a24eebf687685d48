// The `strategy` mapping of a scenario.
//
//   strategy: {framework: torchtitan, data_parallel: auto, tensor_parallel: 2, micro_batch: 2, recompute: full}
#pragma once

#include <cstdint>
#include <vector>

#include "sim/config/key_table.h"
#include "strategies/strategy.h"

namespace echelon {

// Ranks that a mesh may have at most.
inline constexpr std::int64_t most_ranks = 10'000'000;

const std::vector<Key<Strategy>>& strategy_keys();

// Reads the mapping over the defaults of its framework. mesh.data is 0 where data_parallel is `auto` or absent:
// resolve_data_parallel() sets it. Throws InputError for what is wrong in itself; what cannot run (a degree that does
// not divide the heads, more stages than layers) is for the strategies room to find.
Strategy strategy_from_yaml(const Value& value);

// Throws InputError where `rank_layers` does not lay a model of so many layers, at the layer that is wrong. A schedule
// from a file is not read yet: what it has no place for is for the strategies room to find.
void check_rank_layers(const Value& value, std::int64_t layers, const Strategy& strategy);

// Sets an automatic mesh.data to gpus / (tensor * pipeline * context). Throws InputError, naming numbers that would
// work, where that does not divide or where a given mesh does not have as many ranks as there are GPUs.
void resolve_data_parallel(const Value& value, std::int64_t gpus, Strategy& strategy);

}  // namespace echelon
