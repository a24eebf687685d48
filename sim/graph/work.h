// What the tasks of a task graph do: the things that the cost room prices, each once.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "sim/base/collective_kind.h"
#include "sim/base/offload_target.h"
#include "sim/base/units.h"
#include "sim/graph/layer_program.h"

namespace echelon {

// Which ranks of a stage a communicator of data-parallel traffic joins.
enum class Communicator : std::uint8_t {
  data,         // replicas of a dense parameter: all of data and context
  expert_data,  // replicas of a routed expert's parameter
  shard,        // hybrid sharding: neighbours that share one copy of the dense state
  replica,      // hybrid sharding: ranks that hold the same shard
  outer,        // infrequent synchronisation: ranks of the same place in each group that trains by itself
  tied_ends,    // first and last stage, which hold copies of one table
  stages        // the ranks of all stages with the same other coordinates
};

// Members of one communicator, and how many of them share a node.
struct GroupLayout {
  std::int64_t ranks = 1;
  std::int64_t ranks_per_node = 1;            // at most
  Communicator members = Communicator::data;  // of data-parallel traffic
  bool bridges = false;             // members lie in several groups of a cluster, beyond the link that joins those
  std::int64_t least_per_node = 0;  // where nodes have unlike numbers of them; 0 = all have as many

  friend bool operator==(const GroupLayout&, const GroupLayout&) = default;
};

enum class Pass : std::uint8_t { forward, backward, input_gradient, weight_gradient };

// How much of a block's forward pass runs again before its backward pass.
enum class Rerun : std::uint8_t { nothing, attention_core, selective_operators, listed_operators, everything };

// A stretch of every sequence of a micro-batch, in shares of its length.
struct SequencePart {
  double begin = 0;
  double share = 1;
  friend bool operator==(const SequencePart&, const SequencePart&) = default;
};

// `count` layers of one block in one pass.
struct LayerRun {
  std::int32_t block = 0;
  Pass pass = Pass::forward;
  Rerun rerun = Rerun::nothing;  // backward passes only
  double count = 1;
  SequencePart part;  // of the sequence that is run
  friend bool operator==(const LayerRun&, const LayerRun&) = default;
};

// Layers one after another on the compute stream, collectives inside them included.
struct ComputeWork {
  std::vector<LayerRun> runs;
  bool fetches_batch = false;  // first, with the device idle
};

// A collective on a stream of its own. `bytes`: the full vector, as nccl-tests counts it.
struct CollectiveWork {
  CollectiveKind kind = CollectiveKind::all_reduce;
  GroupLayout group;
  Bytes bytes;
  double count = 1;
};

// Copies on the device that a framework makes around a collective, which wait for it and which it waits for.
struct BufferCopies {
  Bytes moved;          // read and written
  double launches = 0;  // kernels that the host launches one by one from Python
};

// Several collectives of one task, one after another. What waits for them waits for this axis.
struct CollectiveChain {
  std::vector<CollectiveWork> calls;
  BufferCopies copies;
  Axis axis = Axis::data;
};

// A message to a neighbouring pipeline rank.
struct TransferWork {
  Bytes bytes;
  bool same_node = true;
  bool bridges = false;  // between groups of a cluster
};

// One optimizer step over the elements that a rank owns, with gradient norm and clipping; memory-bound. Off the device
// the host takes it, and moves so many bytes of its own memory.
struct OptimizerWork {
  double elements = 0;
  Bytes moved_per_element;
  OffloadTarget target = OffloadTarget::none;
  Bytes stored_per_element;  // nvme: states that are read from the drives and written back
};

enum class CopyDirection : std::uint8_t { to_host, from_host };

// A copy between the device and what its states or activations are offloaded to.
struct HostCopy {
  Bytes bytes;
  CopyDirection direction = CopyDirection::to_host;
  OffloadTarget target = OffloadTarget::host;
};

using Work = std::variant<ComputeWork, CollectiveChain, TransferWork, OptimizerWork, HostCopy>;

}  // namespace echelon
