// What torchtitan's selective recompute by operator keeps of a block and what it runs again.
//
// Its policy keeps the outputs of attention, of reduce-scatters and of every second matrix product, the first included;
// all else runs again before the backward pass (torchtitan parallelize_llama.py of 2024, _save_list). Products in fp8
// are seen as the products that they stand for, before their operands turn them into another operator: Llama 3.1 8B on
// 128 H100 reserves 62.0 GiB in bf16 and 61.8 in fp8 (torchtitan docs/performance.md of 2024, both compiled). Nothing
// needs the block's last product again.
#pragma once

#include <vector>

#include "sim/graph/layer_program.h"
#include "sim/model/kernel_style.h"

namespace echelon {

// Shares of a linear's output elements; all zero for other steps. A fused projection counts as the products that it
// stands for: queries, keys and values; gate and up.
struct SelectiveShares {
  double kept = 0;
  double rerun = 0;
};

// By step of the program. Compiled blocks also drop what only a kept reduce-scatter reads.
std::vector<SelectiveShares> selective_shares(const LayerProgram& program, const Execution& execution);

}  // namespace echelon
