// (layer, pass, device, network) -> price: its operators one after the other, and what they do not hide of its
// communication.
//
// The backward pass of a linear is two products, [rows x out] x [out x in] and [in x rows] x [rows x out]; its weight
// gradient is added to an accumulation buffer. fp8 products quantise their inputs first. Collectives that a layer waits
// for count as exposed time of their axis; those that hide behind an operator count only what sticks out of it.
#pragma once

#include <vector>

#include "sim/cost/cost_context.h"
#include "sim/cost/price.h"
#include "sim/cost/step_price.h"
#include "sim/graph/work.h"

namespace echelon {

class PassPricer {
 public:
  // Keeps `program`, and of `context` a copy with the program's own kernels.
  PassPricer(const LayerProgram& program, const CostContext& context);

  const std::vector<PricedStep>& steps() const { return steps_; }

  // The operators of the list alone, again, with the exchanges of experts that lie between two of them.
  Price rerun(const RerunList& list) const;
  Price forward(bool again) const;
  // torchtitan's per-operator policy (sim/graph/selective_recompute.h): gathers and all pointwise work run again too.
  Price selective_operators() const;
  Price backward(bool inputs, bool weights) const;

 private:
  Price forward_steps(const std::vector<bool>& runs, Seconds Price::*sum) const;
  void add_forward(Price& price, Seconds& sum, const PricedStep& step) const;
  // Kernels, products of each expert where they are grouped, and other calls for single experts.
  struct Launches {
    double kernels = 0;
    double products = 0;
    double calls = 0;
  };
  void add_launches(Price& price, const PricedStep& step, Seconds kernel, const Launches& launches) const;
  void expose(Price& price, std::size_t i, const PricedCalls& calls, Seconds cover, Seconds host) const;
  const OperatorCost& next_linear(std::size_t i) const;
  Seconds neighbour_time(std::size_t i, bool backward) const;
  std::size_t next_operator(std::size_t i) const;
  Seconds block_time(std::size_t i, bool backward) const;
  Seconds share_of_pass(bool backward) const;
  Seconds hidden_backward(std::size_t i, bool weights) const;

  const LayerProgram& program_;
  CostContext context_;
  std::vector<PricedStep> steps_;
};

}  // namespace echelon
