#include "sim/cost/pass_price.h"

#include <algorithm>

#include "sim/cost/host_wait.h"
#include "sim/graph/selective_recompute.h"

namespace echelon {
namespace {

constexpr double collective_kernels = 1;
// PyTorch's ProcessGroupNCCL.cpp: its stream waits for the caller's, and the caller's for the end of the collective.
constexpr double stream_waits = 2;

void tally(Price& price, Seconds time, Ground ground) {
  price.by_ground[static_cast<std::size_t>(ground)] += time;
}

void add_compute(Price& price, Seconds time, Flops flops, const PricedStep& step) {
  price.compute += time;
  price.flops += flops;
  tally(price, time, step.cost.ground);
}

}  // namespace

PassPricer::PassPricer(const LayerProgram& program, const CostContext& context) : program_(program), context_(context) {
  context_.execution.style = program.kernels.value_or(context.execution.style);
  steps_ = price_steps(program, context_);
}

Price PassPricer::rerun(const RerunList& list) const {
  std::vector<bool> runs(steps_.size());
  const Operator* before = nullptr;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i].op != nullptr) {
      before = steps_[i].op;
      runs[i] = list.contains(*before);
      continue;
    }
    const std::size_t next = next_operator(i);
    if (next == steps_.size() || !list.contains(*steps_[next].op)) continue;
    const Communication& communication = *steps_[i].communication;
    const bool between_reruns = communication.axis == Axis::expert && before != nullptr && list.contains(*before);
    runs[i] = between_reruns || communication.hiding == Hiding::blocks;
  }
  return forward_steps(runs, &Price::recompute);
}

Price PassPricer::forward(bool again) const {
  const std::vector<bool> all(steps_.size(), true);
  return forward_steps(all, again ? &Price::recompute : &Price::compute);
}

// The steps that run, forward. The host waits for the counts of tokens that are permuted among them.
Price PassPricer::forward_steps(const std::vector<bool>& runs, Seconds Price::*sum) const {
  const std::size_t none = steps_.size();
  const std::size_t counted = context_.waits_for_counts ? counted_step(program_).value_or(none) : none;
  const bool waits = counted < none && runs[counted];
  Price price;
  std::vector<LaunchedStep> launched;
  std::size_t first = 0;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (!runs[i]) continue;
    const PricedStep& step = steps_[i];
    const Seconds device = price.device();
    const Seconds host = price.host;
    if (step.op != nullptr)
      add_forward(price, price.*sum, step);
    else
      expose(price, i, step.forward_communication, neighbour_time(i, false), context_.host.forward_kernel);
    if (!waits) continue;
    launched.push_back({price.device() - device, price.host - host});
    if (i == counted) first = launched.size();
  }
  if (waits) {
    price.idle = idle_between_waits(launched, first);
    price.host = price.device();
  }
  return price;
}

Price PassPricer::selective_operators() const {
  const std::vector<SelectiveShares> shares = selective_shares(program_, context_.execution);
  Price price;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const PricedStep& step = steps_[i];
    if (step.op == nullptr) {
      if (step.communication->forward == CollectiveKind::all_gather)
        expose(price, i, step.forward_communication, neighbour_time(i, false), context_.host.forward_kernel);
      continue;
    }
    if (step.op->kind == OperatorKind::attention) continue;
    const double share = step.op->kind == OperatorKind::linear ? shares[i].rerun : 1;
    price.recompute += step.cost.forward * share;
    tally(price, step.cost.forward * share, step.cost.ground);
    price.flops += step.cost.flops.forward * share;
    add_launches(price, step, context_.host.forward_kernel,
                 {step.cost.forward_kernels * share, share, step.cost.forward_calls * share});
  }
  return price;
}

Price PassPricer::backward(bool inputs, bool weights) const {
  Price price;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const PricedStep& step = steps_[i];
    if (step.op != nullptr) {
      if (inputs) add_compute(price, step.cost.input_gradient, step.cost.flops.backward_input, step);
      if (weights) add_compute(price, step.cost.weight_gradient, step.cost.flops.backward_weight, step);
      const double share = inputs && weights ? 1 : 0.5;
      add_launches(price, step, context_.host.backward_kernel,
                   {step.cost.backward_kernels * share, 2 * share, step.cost.backward_calls * share});
      continue;
    }
    if (step.communication->for_weight_gradient ? weights : inputs)
      expose(price, i, step.backward_communication, hidden_backward(i, weights), context_.host.backward_kernel);
    if (inputs) {
      const bool beside_product = step.communication->axis == Axis::tensor;
      expose(price, i, step.regather, beside_product ? next_linear(i).input_gradient : Seconds(0),
             context_.host.backward_kernel);
    }
  }
  return price;
}

void PassPricer::add_forward(Price& price, Seconds& sum, const PricedStep& step) const {
  sum += step.cost.forward;
  tally(price, step.cost.forward, step.cost.ground);
  price.flops += step.cost.flops.forward;
  add_launches(price, step, context_.host.forward_kernel, {step.cost.forward_kernels, 1, step.cost.forward_calls});
}

// Of one direction of an operator, at `kernel` of host time each.
void PassPricer::add_launches(Price& price, const PricedStep& step, Seconds kernel, const Launches& launches) const {
  if (is_replayed(context_.graphs, *step.op)) return;
  const double products = step.op->experts > 1 ? launches.products * static_cast<double>(step.op->experts) : 0;
  const double calls = products + launches.calls;
  price.host += kernel * launches.kernels + context_.host.grouped_product * calls;
  price.launches += launches.kernels + calls;
}

// The part of a collective that `cover` does not hide; while both run, compute loses the overlap slowdown.
void PassPricer::expose(Price& price, std::size_t i, const PricedCalls& calls, Seconds cover, Seconds host) const {
  const Seconds time = calls.time;
  if (time <= Seconds(0)) return;
  const Communication& communication = *steps_[i].communication;
  const bool pipelined = communication.axis == Axis::tensor && communication.hiding == Hiding::operators;
  const Seconds hidden = std::min(time, cover) * (pipelined ? context_.tensor_overlap_share : 1);
  const Seconds shown = time - hidden + hidden * (context_.device->overlap_slowdown - 1);
  price.exposed[static_cast<std::size_t>(communication.axis)] += shown;
  tally(price, shown, steps_[i].ground);
  if (context_.on_links[static_cast<std::size_t>(communication.axis)]) {
    LayerTraffic sent = calls.sent;
    sent.exposed = std::min(sent.transfer, time - hidden);
    add_traffic(price.traffic, sent);
  }
  if (context_.graphs == CudaGraphs::iteration) return;
  const double launches = communication.hiding == Hiding::blocks ? communication.repeats : collective_kernels;
  price.host += host * launches;
  price.launches += launches * (1 + stream_waits);
  price.host += calls.check;
}

const OperatorCost& PassPricer::next_linear(std::size_t i) const {
  for (std::size_t next = i + 1; next < steps_.size(); ++next)
    if (steps_[next].op != nullptr && steps_[next].op->kind == OperatorKind::linear) return steps_[next].cost;
  static const OperatorCost nothing;
  return nothing;
}

// Compute that runs beside a collective hidden behind its neighbouring operator: the next one for a gather or a ring,
// the one before for a reduction. A chunked product leaves its first chunk's transfer uncovered.
Seconds PassPricer::neighbour_time(std::size_t i, bool backward) const {
  const Communication& communication = *steps_[i].communication;
  if (communication.hiding == Hiding::micro_batch) return share_of_pass(backward);
  if (communication.hiding == Hiding::blocks) return block_time(i, backward);
  if (communication.hiding != Hiding::operators) return Seconds(0);
  const bool reduces =
      communication.forward == CollectiveKind::reduce_scatter || communication.forward == CollectiveKind::all_reduce;
  const std::size_t neighbour = reduces ? i - 1 : i + 1;
  if ((reduces && i == 0) || neighbour >= steps_.size() || steps_[neighbour].op == nullptr) return Seconds(0);
  const OperatorCost& cost = steps_[neighbour].cost;
  const Seconds whole = backward ? cost.input_gradient + cost.weight_gradient : cost.forward;
  const auto ranks =
      static_cast<double>(communication.ranks > 0 ? communication.ranks : context_.ranks_of(communication.axis));
  return whole * ((ranks - 1) / ranks);
}

// The operator that step i, a communication, stands before; the end where there is none.
std::size_t PassPricer::next_operator(std::size_t i) const {
  while (i < steps_.size() && steps_[i].op == nullptr) ++i;
  return i;
}

// Of the block products behind step i, what runs beside it: all turns but the first, shared with the other
// communications of the same products by how long each takes.
Seconds PassPricer::block_time(std::size_t i, bool backward) const {
  const std::size_t op = next_operator(i);
  const Communication& communication = *steps_[i].communication;
  const double turns = backward ? communication.backward_repeats : communication.repeats;
  if (op >= steps_.size() || turns <= 1) return Seconds(0);
  const auto time_of_step = [backward](const PricedStep& step) {
    return backward ? step.backward_communication.time : step.forward_communication.time;
  };
  Seconds together;
  for (std::size_t j = op; j-- > 0 && steps_[j].communication != nullptr;) {
    const Communication& other = *steps_[j].communication;
    const bool same_product = !backward || other.for_weight_gradient == communication.for_weight_gradient;
    if (other.hiding == Hiding::blocks && same_product) together += time_of_step(steps_[j]);
  }
  const OperatorCost& cost = steps_[op].cost;
  const Seconds product = !backward                           ? cost.forward
                          : communication.for_weight_gradient ? cost.weight_gradient
                                                              : cost.input_gradient;
  const double shown = together > Seconds(0) ? std::min(1.0, product / together) : 0;
  return time_of_step(steps_[i]) * (shown * (turns - 1) / turns);
}

// Compute of a pass of another micro-batch for each of the communications that it hides.
Seconds PassPricer::share_of_pass(bool backward) const {
  Seconds compute;
  double hidden = 0;
  for (const PricedStep& step : steps_) {
    compute += backward ? step.cost.input_gradient + step.cost.weight_gradient : step.cost.forward;
    if (step.communication != nullptr && step.communication->hiding == Hiding::micro_batch) hidden += 1;
  }
  return compute / hidden;
}

Seconds PassPricer::hidden_backward(std::size_t i, bool weights) const {
  const Communication& communication = *steps_[i].communication;
  if (communication.hiding == Hiding::operators || communication.hiding == Hiding::micro_batch ||
      communication.hiding == Hiding::blocks)
    return neighbour_time(i, true);
  if (communication.hiding == Hiding::weight_gradient && weights) return next_linear(i).weight_gradient;
  return Seconds(0);
}

}  // namespace echelon
