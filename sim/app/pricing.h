// What the works of a lowered scenario cost on the machines that do them.
//
// A work is priced on every machine that takes part: one, but for stages that lie on several groups of a mixed cluster
// and for messages and collectives between groups. It takes as long as on the slowest of them.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "sim/app/machines.h"
#include "sim/config/scenario.h"
#include "sim/cost/work_cost.h"
#include "sim/engine/replay.h"
#include "sim/metrics/breakdown.h"
#include "strategies/lower.h"

namespace echelon {

// What the network model `flow` makes of collectives inside the layers of ranks of a kind on one machine, by Axis.
struct LinksInside {
  std::array<double, 5> stretch{1, 1, 1, 1, 1};  // of their time
  std::array<bool, 5> on_links{};                // they are flows
};

struct WorkPrices {  // by work of the lowering
  std::vector<Price> by_work;
  std::vector<WorkTime> times;  // without what flows inside layers take
  std::vector<WorkShare> shares;
  std::vector<std::int32_t> machines;  // that the price is of
};

class Pricers {
 public:
  // Both outlive it. `links` by kind and machine, kind after kind; empty: those of the model `analytic`.
  Pricers(const Scenario& scenario, const Lowering& lowering, const std::vector<LinksInside>& links = {});
  Pricers(const Pricers&) = delete;
  Pricers& operator=(const Pricers&) = delete;

  WorkPrices price_all();
  // Operators of one layer of a block of the model on ranks of that kind, of their slowest machine.
  std::vector<OperatorPrice> explain(std::int32_t kind, std::int32_t block);

 private:
  WorkPricer& pricer(std::int32_t kind, std::int32_t machine);
  void raise(Price& price, std::int32_t& machine, const Work& work, std::int32_t kind);

  const Scenario& scenario_;
  const Lowering& lowering_;
  MachineNetworks networks_;
  std::vector<WorkPricer> pricers_;  // by kind and machine
};

}  // namespace echelon
