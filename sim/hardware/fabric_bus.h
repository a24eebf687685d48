// Bus bandwidths, as nccl-tests defines them, of some of the GPUs that a scale-up fabric joins. A profile has what all
// of them reach and what two do.
#pragma once

#include "sim/base/units.h"
#include "sim/hardware/network.h"

namespace echelon {

// Of a ring through `members` GPUs, at least two. A switch gives each of them its whole link; on a mesh as many links
// as there are others end in each; PCIe lies between a pair and all, on the way of the logarithm of the number (an
// eight-GPU L40S machine reaches 20.1, 5.9 and 2.1 GB/s with 2, 4 and 8: ai-dynamo/aiconfigurator @095f58a51c4c).
ByteRate ring_bus_of(const Network& network, double members);

// Of an all-to-all between them.
ByteRate all_to_all_bus_of(const Network& network, double members);

// Of an all-reduce that the switch adds up: every GPU is the head of as large a part of the vector and gets the others'
// parts over its link (414, 436, 460 and 473 GB/s with 5 to 8 H200: stas00/ml-engineering network/README.md
// @744d01e18b79). 0 where there is no such switch.
ByteRate nvls_bus_of(const Network& network, double members);

// From so many GPUs on NCCL prefers it to a ring inside the fabric (the same table: H200 and B200 keep rings with 4).
constexpr double least_nvls_gpus = 5;

}  // namespace echelon
