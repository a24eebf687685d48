// A scenario in one line for headings.
#pragma once

#include <string>

#include "sim/config/scenario.h"

namespace echelon {

// "llama-3.1-8b on 8 GPUs (HGX, 8 x H100): dp 8 tp 1 pp 1 cp 1 ep 1, micro-batch 2, global batch 16, sequence 8192".
std::string scenario_text(const Scenario& scenario);

}  // namespace echelon
