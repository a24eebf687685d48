// Messages in a pipeline schedule's file (sim/interop/pipeline_csv.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "sim/interop/pipeline_cells.h"

namespace echelon::pipeline_cells {

// Every message leaves after the pass that makes it, arrives before the pass that takes it, and has both its ends,
// once. `rank_of`: by stage. Throws InputError at the cell.
void check_messages(const Cells& cells, const std::map<std::int64_t, std::size_t>& rank_of);

// The messages of two ranks get through one after the other, each when both ends have come to it (NCCL runs what a
// communicator is given in order, which is why PyTorch's files name them): none waits for itself, of a file that the
// above lets pass. Throws InputError at a cell of the circle, with it.
void check_message_order(const Cells& cells, const std::map<std::int64_t, std::size_t>& rank_of);

}  // namespace echelon::pipeline_cells
