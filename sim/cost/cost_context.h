// Everything that the price of a work depends on beside the work: machine, placement, workload, framework.
#pragma once

#include <array>
#include <vector>

#include "sim/base/data_type.h"
#include "sim/base/units.h"
#include "sim/graph/work.h"
#include "sim/hardware/device.h"
#include "sim/hardware/host.h"
#include "sim/hardware/network.h"
#include "sim/model/cuda_graphs.h"
#include "sim/model/kernel_style.h"
#include "sim/model/rerun_list.h"
#include "sim/model/workload.h"

namespace echelon {

// What of a communicator its collectives' cost depends on.
inline GroupShape shape_of(const GroupLayout& layout) {
  return {layout.ranks, layout.ranks_per_node, layout.least_per_node};
}

// What the host spends on launching; by framework.
struct HostCost {
  Seconds forward_kernel;   // per kernel of a forward pass
  Seconds backward_kernel;  // per kernel of a backward pass (autograd runs in C++)
  Seconds copy;             // per copy that Python launches outside of both
  Seconds grouped_product;  // per expert and product: Transformer Engine calls cuBLAS for each, from C++; and for each
                            // kernel that quantises what one expert reads
  Seconds batch;            // fetching a micro-batch, from the last kernel before it to the first behind it
  Seconds checked_rank;     // per collective and rank of its group, beside its launch: PyTorch checks it
  Seconds message;          // per message between stages, beside its transfer
};

struct CostContext {
  const Device* device = nullptr;
  const Network* network = nullptr;
  const Network* bridge = nullptr;  // what joins several groups of a cluster as this machine sees it; absent: network
  const Host* node_host = nullptr;  // where anything is offloaded
  double host_sharers = 1;          // GPUs of the job on a node
  const std::vector<LayerProgram>* blocks = nullptr;
  std::array<GroupLayout, 5> groups;  // by Axis

  // That communicators of this layout, or messages between such groups, use.
  const Network& network_of(bool bridges) const { return bridges && bridge != nullptr ? *bridge : *network; }
  std::int64_t ranks_of(Axis axis) const { return groups[static_cast<std::size_t>(axis)].ranks; }
  Execution execution;
  Precision precision;
  HostCost host;
  CudaGraphs graphs = CudaGraphs::none;
  double tokens = 0;                             // of one micro-batch on this rank
  double sequence = 0;                           // full length
  double sequences = 0;                          // of one micro-batch
  std::array<double, 5> stretch{1, 1, 1, 1, 1};  // by Axis: of the time of collectives inside layers
  std::array<bool, 5> on_links{};                // by Axis: prices tell what such collectives send
  double attended_share = 1;              // causal attention: keys that a query sees over the mean of the sequence
  double tensor_overlap_share = 1;        // of what products could hide of tensor-parallel collectives (Strategy)
  bool reorders_sequence_shards = false;  // gathers and scatters of the sequence copy the whole tensor (Strategy)
  RerunList recomputed;                   // what Rerun::listed_operators runs again
  double weight_cast_share = 1;           // of micro-batches, those that quantise the weights
  Bytes accumulation;                     // moved for each element to add a micro-batch's weight gradient to its buffer
  bool fused_accumulation = false;        // by the products themselves
  bool pads_experts = false;              // rows of experts are copied to multiples of 8-bit products' blocks, and back
  bool waits_for_counts = false;          // the host, for the tokens of experts (strategies/intra/intra.h)
};

}  // namespace echelon
