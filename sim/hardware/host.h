// The host of a node: what offloaded activations, states and parameters pass through and lie in.
//
// 0 = not known; a strategy that needs it is then refused (sim/app/offload_check.h).
#pragma once

#include <string>

#include "sim/base/units.h"

namespace echelon {

struct Host {
  ByteRate link;              // one GPU, one direction, pinned copies, achieved
  ByteRate memory_bandwidth;  // of the whole node, datasheet
  Bytes memory;               // of the whole node
  ByteRate nvme_read;         // of the whole node
  ByteRate nvme_write;
  std::string source;
};

}  // namespace echelon
