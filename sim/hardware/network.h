// Links of a cluster as NCCL sees them, and the constants of its cost model.
#pragma once

#include <cstdint>

#include "sim/base/collective_kind.h"
#include "sim/base/enum_names.h"
#include "sim/base/units.h"

namespace echelon {

enum class CollectiveAlgorithm { ring, tree, nvls, nvls_tree, direct };
enum class CollectiveProtocol { ll, ll128, simple };

// How a communicator lies on the nodes. Groups of one kind run at once on all ranks of a node, so the adapters are shared
// by gpus_per_node / ranks_per_node groups.
struct GroupShape {
  std::int64_t ranks = 1;
  std::int64_t ranks_per_node = 1;
};

struct Network {
  std::int64_t gpus_per_node = 8;
};

}  // namespace echelon
