// What parts of a model take on one rank, with nothing replayed: what planners of stages, slices and schedules plan by.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "sim/base/error.h"
#include "sim/config/scenario.h"
#include "sim/graph/work.h"
#include "strategies/strategy.h"

namespace echelon {

// Time of one layer of each block, forward and backward, whether the device or its host takes longer.
struct BlockTimes {
  std::vector<std::vector<Seconds>> by_kind;  // of rank (Lowering::kinds), by block of the model
  std::vector<std::int32_t> kind_of;          // by pipeline rank
};
std::variant<BlockTimes, Infeasible> block_times(const Scenario& scenario);

// Seconds of each pass of one layer of each block, and of a message between stages, on ranks that are all alike.
std::variant<PlannedTimes, Infeasible> pass_times(const Scenario& scenario);

// Time of all layers, forward and backward, for each part of every sequence.
std::variant<std::vector<Seconds>, Infeasible> part_times(const Scenario& scenario,
                                                          const std::vector<SequencePart>& parts);

}  // namespace echelon
