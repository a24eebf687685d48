// The passes of a divided vocabulary in a pipeline schedule's file (sim/interop/pipeline_csv.h).
#pragma once

#include <cstdint>
#include <string>

#include "sim/interop/pipeline_cells.h"

namespace echelon::pipeline_cells {

// Every rank has each of them once for each micro-batch, forward before backward, on its own line, whole and alone in
// its cell, and all ranks have those of the output layer, and those of the embedding, in one order: each ends in a
// collective of all. Throws InputError at the cell; at the file where one lacks.
void check_vocabulary(const Cells& cells, std::int64_t micro_batches, const std::string& file);

}  // namespace echelon::pipeline_cells
