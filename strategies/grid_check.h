// What tensor parallelism on a grid of ranks demands.
#pragma once

#include "sim/model/model.h"
#include "strategies/refusal.h"
#include "strategies/strategy.h"

namespace echelon {

// Colossal-AI's layers on a grid are those of a dense transformer: no experts, no latent attention, no scans, and no
// sequence or context parallelism beside them. A row and a column take heads and sequences whole.
Refusal check_grid(const Model& model, const Strategy& strategy);

// Sequences that every micro-batch must be a multiple of: one for each row of each layer of the grid; 1 without one.
std::int64_t grid_sequences(const Strategy& strategy);

}  // namespace echelon
