// (work, device, network) -> time: prices the works of a task graph, each layer and pass once.
//
// The backward pass of a linear is two products, [rows x out] x [out x in] and [in x rows] x [rows x out]; its weight
// gradient is added to an accumulation buffer. fp8 products quantise their inputs first. Collectives that a layer waits
// for count as exposed time of their axis; those that hide behind an operator count only what sticks out of it.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "sim/base/data_type.h"
#include "sim/base/units.h"
#include "sim/cost/collective.h"
#include "sim/cost/compute.h"
#include "sim/cost/layer_traffic.h"
#include "sim/graph/work.h"
#include "sim/hardware/host.h"
#include "sim/model/cuda_graphs.h"
#include "sim/model/kernel_style.h"
#include "sim/model/workload.h"

namespace echelon {

// What the host spends on launching; by framework.
struct HostCost {
  Seconds forward_kernel;   // per kernel of a forward pass
  Seconds backward_kernel;  // per kernel of a backward pass (autograd runs in C++)
  Seconds copy;             // per copy that Python launches outside of both
  Seconds grouped_product;  // per expert and product: Transformer Engine calls cuBLAS for each, from C++
  Seconds tensor_rank;      // per tensor-parallel collective of a layer and rank of its group, beside its launch
};

// Everything that the price of a work depends on beside the work.
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
  std::vector<OperatorKind> recomputed;   // what Rerun::listed_operators runs again
  double weight_cast_share = 1;           // of micro-batches, those that quantise the weights
  Bytes accumulation;                     // moved for each element to add a micro-batch's weight gradient to its buffer
};

// Device time by kind; `exposed` by Axis. The sum of all is the time on the stream.
struct Price {
  Seconds compute;
  Seconds recompute;
  std::array<Seconds, 5> exposed{};
  Seconds host_copy;
  Seconds host;
  Flops flops;                         // executed, recomputed ones included
  std::array<Seconds, 3> by_ground{};  // by Ground
  std::vector<LayerTraffic> traffic;   // of the axes on links (CostContext::on_links)

  Seconds device() const;
  Price& operator+=(const Price& other);
  Price scaled(double factor) const;
};

// One line of "where does this number come from".
struct OperatorPrice {
  std::string name;
  Seconds forward;
  Seconds backward;
  Ground ground = Ground::datasheet;
};

class WorkPricer {
 public:
  explicit WorkPricer(const CostContext& context) : context_(context) {}

  Price price(const Work& work);
  // Operators and collectives of one layer of a block, for the user who doubts a number.
  std::vector<OperatorPrice> explain(std::int32_t block);

 private:
  Price price_compute(const ComputeWork& work);
  Price price_collectives(const CollectiveChain& chain) const;
  Price price_transfer(const TransferWork& work) const;
  Price price_optimizer(const OptimizerWork& work) const;
  Price price_host_copy(const HostCopy& work) const;
  const Price& price_run(const LayerRun& run);
  CostContext of_part(const LayerRun& run) const;

  CostContext context_;
  std::map<std::tuple<std::int32_t, Pass, Rerun, double, double>, Price> runs_;
};

}  // namespace echelon
