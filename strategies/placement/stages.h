// Layers on pipeline stages.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "strategies/strategy.h"

namespace echelon {

// Why the layers cannot be laid on the stages, with the number that would do; nothing where they can.
std::optional<std::string> stage_refusal(std::int64_t layers, const Strategy& strategy);

// Number of layers of each stage, in order of the model (pipeline * virtual_stages stages). Even where it divides;
// else the first and last stages, which also hold the embedding and the head, get the fewer.
std::vector<std::int64_t> layers_by_stage(std::int64_t layers, const Strategy& strategy);

}  // namespace echelon
