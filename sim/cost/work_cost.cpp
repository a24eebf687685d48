#include "sim/cost/work_cost.h"

#include <algorithm>

#include "sim/cost/collective.h"
#include "sim/cost/compute.h"
#include "sim/cost/offload_cost.h"
#include "sim/cost/pass_price.h"

namespace echelon {

// Causal tokens of a part look back at all before it and at half of the part, where those of the whole sequence look
// back at half of it: 2 (begin + share / 2) times as many.
CostContext WorkPricer::of_part(const LayerRun& run) const {
  CostContext context = context_;
  context.tokens *= run.part.share;
  context.attended_share = 2 * run.part.begin + run.part.share;
  return context;
}

const Price& WorkPricer::price_run(const LayerRun& run) {
  const auto key = std::make_tuple(run.block, run.pass, run.rerun, run.part.begin, run.part.share);
  if (const auto found = runs_.find(key); found != runs_.end()) return found->second;
  const PassPricer pricer((*context_.blocks)[static_cast<std::size_t>(run.block)], of_part(run));
  Price price;
  switch (run.rerun) {
    case Rerun::nothing:
      break;
    case Rerun::attention_core:
      price += pricer.rerun({{OperatorKind::attention}, {}});
      break;
    case Rerun::selective_operators:
      price += pricer.selective_operators();
      break;
    case Rerun::listed_operators:
      price += pricer.rerun(context_.recomputed);
      break;
    case Rerun::everything:
      price += pricer.forward(true);
      break;
  }
  switch (run.pass) {
    case Pass::forward:
      price += pricer.forward(false);
      break;
    case Pass::backward:
      price += pricer.backward(true, true);
      break;
    case Pass::input_gradient:
      price += pricer.backward(true, false);
      break;
    case Pass::weight_gradient:
      price += pricer.backward(false, true);
      break;
  }
  return runs_[key] = price;
}

Price WorkPricer::price_compute(const ComputeWork& work) {
  Price price;
  for (const LayerRun& run : work.runs) price += price_run(run).scaled(run.count);
  if (work.fetches_batch) {
    price.idle += context_.host.batch;
    price.host += context_.host.batch;
  }
  return price;
}

Price WorkPricer::price_collectives(const CollectiveChain& chain) const {
  Price price;
  for (const CollectiveWork& call : chain.calls) {
    const CollectivePrice one =
        collective_time(context_.network_of(call.group.bridges), {call.kind, shape_of(call.group), call.bytes});
    const Seconds check = context_.host.checked_rank * static_cast<double>(call.group.ranks);
    const Seconds time = std::max(one.time, check) * call.count;
    price.exposed[static_cast<std::size_t>(chain.axis)] += time;
    price.by_ground[static_cast<std::size_t>(one.ground)] += time;
  }
  if (chain.copies.moved > Bytes(0)) {
    const Priced moved = memory_bound_time(*context_.device, chain.copies.moved, 1);
    const Seconds time = std::max(moved.time, context_.host.copy * chain.copies.launches);
    price.exposed[static_cast<std::size_t>(chain.axis)] += time;
    price.by_ground[static_cast<std::size_t>(moved.ground)] += time;
  }
  return price;
}

Price WorkPricer::price_transfer(const TransferWork& work) const {
  Price price;
  if (work.bytes <= Bytes(0)) return price;
  const Network& network = context_.network_of(work.bridges);
  const double sharers = static_cast<double>(network.gpus_per_node);
  const Seconds time = context_.host.message + point_to_point_time(network, work.same_node, work.bytes, sharers);
  price.exposed[static_cast<std::size_t>(Axis::pipeline)] = time;
  price.by_ground[static_cast<std::size_t>(Ground::measured)] = time;
  return price;
}

// Datasheet ground: the host's memory bandwidth is no measurement of the step.
Price WorkPricer::price_optimizer(const OptimizerWork& work) const {
  Price price;
  if (work.target != OffloadTarget::none) {
    price.compute = host_step_time(*context_.node_host, context_.host_sharers, work);
    price.by_ground[static_cast<std::size_t>(Ground::datasheet)] = price.compute;
    return price;
  }
  const Priced step = memory_bound_time(*context_.device, work.moved_per_element * work.elements, 8);
  price.compute = step.time;
  price.by_ground[static_cast<std::size_t>(step.ground)] = step.time;
  return price;
}

Price WorkPricer::price_host_copy(const HostCopy& work) const {
  Price price;
  price.host_copy = host_copy_time(*context_.node_host, context_.host_sharers, work);
  price.by_ground[static_cast<std::size_t>(Ground::datasheet)] = price.host_copy;
  return price;
}

Price WorkPricer::price(const Work& work) {
  if (const auto* compute = std::get_if<ComputeWork>(&work)) return price_compute(*compute);
  if (const auto* chain = std::get_if<CollectiveChain>(&work)) return price_collectives(*chain);
  if (const auto* transfer = std::get_if<TransferWork>(&work)) return price_transfer(*transfer);
  if (const auto* copy = std::get_if<HostCopy>(&work)) return price_host_copy(*copy);
  return price_optimizer(std::get<OptimizerWork>(work));
}

std::vector<OperatorPrice> WorkPricer::explain(std::int32_t block) {
  const PassPricer pricer((*context_.blocks)[static_cast<std::size_t>(block)], context_);
  std::vector<OperatorPrice> lines;
  for (const PricedStep& step : pricer.steps()) {
    if (step.op != nullptr) {
      lines.push_back(
          {step.op->name, step.cost.forward, step.cost.input_gradient + step.cost.weight_gradient, step.ground});
      continue;
    }
    const auto& communication = *step.communication;
    const CollectiveKind kind =
        communication.forward.value_or(communication.backward.value_or(CollectiveKind::all_reduce));
    lines.push_back({std::string(name_of(communication.axis)) + " " + std::string(name_of(kind)),
                     step.forward_communication.time, step.backward_communication.time + step.regather.time,
                     step.ground});
  }
  return lines;
}

}  // namespace echelon
