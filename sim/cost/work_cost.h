// (work, device, network) -> time: prices the works of a task graph, each layer and pass once.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "sim/cost/cost_context.h"
#include "sim/cost/price.h"
#include "sim/graph/work.h"

namespace echelon {

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
