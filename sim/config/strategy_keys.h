// The keys of the `strategy` mapping by what they say, in the order in which its schema lists them; strategy_keys()
// joins them after the framework.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/config/key_table.h"
#include "strategies/strategy.h"

namespace echelon {

using StrategyKeys = std::vector<Key<Strategy>>;

inline constexpr std::int64_t most_degree = 1'000'000;
inline constexpr std::int64_t most_placed_layers = 100'000;

StrategyKeys mesh_keys();       // degrees, and how ranks are laid
StrategyKeys pipeline_keys();   // micro-batches, schedules, layers on stages
StrategyKeys state_keys();      // experts, sequences, data-parallel state, what is computed again or leaves the device
StrategyKeys execution_keys();  // what runs beside what, and by which kernels

}  // namespace echelon
