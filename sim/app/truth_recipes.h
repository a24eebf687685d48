// What a source's own scripts set for a row beyond its columns, by model, GPU, number format and version.
#pragma once

#include <string>
#include <vector>

#include "sim/config/scenario.h"
#include "sim/interop/truth_table.h"

namespace echelon {

// Megatron-Bridge's performance recipes: how tokens reach experts, whether that is hidden, and attention's number
// format. Other rows stay as they are; `assumptions` gains what was set.
void apply_recipe(const TruthRow& row, Scenario& scenario, std::vector<std::string>& assumptions);

// llm-foundry's runs over 128 GPUs and more (scripts/train/benchmarking/sweep.py): attention by model, gathers ahead of
// reductions.
void apply_large_scale_recipe(const TruthRow& row, Strategy& strategy, std::vector<std::string>& assumptions);

// What Megatron-Bridge's recipes compute again and keep on the host; false where the row is not theirs or of a recipe
// that was not found. Reads the sharding and the stages of `strategy`.
bool apply_memory_recipe(const TruthRow& row, Strategy& strategy, std::vector<std::string>& assumptions);

}  // namespace echelon
