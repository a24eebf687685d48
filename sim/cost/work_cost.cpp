#include "sim/cost/work_cost.h"

#include <algorithm>

#include "sim/cost/dispatch.h"
#include "sim/cost/offload_cost.h"
#include "sim/cost/operator_cost.h"
#include "sim/graph/selective_recompute.h"

namespace echelon {

Seconds Price::device() const {
  Seconds sum = compute + recompute + host_copy;
  for (const Seconds& part : exposed) sum += part;
  return sum;
}

Price& Price::operator+=(const Price& other) {
  compute += other.compute;
  recompute += other.recompute;
  for (std::size_t i = 0; i < exposed.size(); ++i) exposed[i] += other.exposed[i];
  host_copy += other.host_copy;
  host += other.host;
  flops += other.flops;
  for (std::size_t i = 0; i < by_ground.size(); ++i) by_ground[i] += other.by_ground[i];
  for (const LayerTraffic& sent : other.traffic) add_traffic(traffic, sent);
  return *this;
}

Price Price::scaled(double factor) const {
  Price price = *this;
  price.compute *= factor;
  price.recompute *= factor;
  for (Seconds& part : price.exposed) part *= factor;
  price.host_copy *= factor;
  price.host *= factor;
  price.flops *= factor;
  for (Seconds& part : price.by_ground) part *= factor;
  for (LayerTraffic& sent : price.traffic) sent = sent.scaled(factor);
  return price;
}

namespace {

constexpr double collective_kernels = 1;

GroupShape shape_of(const GroupLayout& layout) {
  return {layout.ranks, layout.ranks_per_node};
}

// One layer's steps priced apart, so that passes can pair collectives with the products that hide them.
struct PricedStep {
  const Operator* op = nullptr;
  const Communication* communication = nullptr;
  OperatorCost cost;
  PricedCalls forward_communication;
  PricedCalls backward_communication;
  PricedCalls regather;
  Ground ground = Ground::datasheet;
};

class PassBuilder {
 public:
  PassBuilder(const LayerProgram& program, const CostContext& context) : program_(program), context_(context) {
    context_.execution.style = program.kernels.value_or(context.execution.style);
    for (std::size_t i = 0; i < program.steps.size(); ++i) steps_.push_back(priced(i));
  }

  const std::vector<PricedStep>& steps() const { return steps_; }

  // The operators of these kinds alone, again.
  Price rerun(const std::vector<OperatorKind>& kinds) const {
    Price price;
    for (const PricedStep& step : steps_)
      if (step.op != nullptr && std::find(kinds.begin(), kinds.end(), step.op->kind) != kinds.end())
        add_forward(price, price.recompute, step);
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      if (steps_[i].communication == nullptr || steps_[i].communication->hiding != Hiding::blocks) continue;
      const std::size_t op = next_operator(i);
      if (op < steps_.size() && std::find(kinds.begin(), kinds.end(), steps_[op].op->kind) != kinds.end())
        expose(price, i, steps_[i].forward_communication, neighbour_time(i, false), context_.host.forward_kernel);
    }
    return price;
  }

  Price forward(bool again) const {
    Price price;
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      const PricedStep& step = steps_[i];
      if (step.op != nullptr) {
        add_forward(price, again ? price.recompute : price.compute, step);
      } else {
        expose(price, i, step.forward_communication, neighbour_time(i, false), context_.host.forward_kernel);
      }
    }
    return price;
  }

  // torchtitan's per-operator policy (sim/graph/selective_recompute.h): gathers and all pointwise work run again too.
  Price selective_operators() const {
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
      price.host += launch(step, context_.host.forward_kernel, step.cost.forward_kernels, 1) * share;
    }
    return price;
  }

  Price backward(bool inputs, bool weights) const {
    Price price;
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      const PricedStep& step = steps_[i];
      if (step.op != nullptr) {
        if (inputs) add_compute(price, step.cost.input_gradient, step.cost.flops.backward_input, step);
        if (weights) add_compute(price, step.cost.weight_gradient, step.cost.flops.backward_weight, step);
        price.host +=
            launch(step, context_.host.backward_kernel, step.cost.backward_kernels, 2) * (inputs && weights ? 1 : 0.5);
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

 private:
  PricedStep priced(std::size_t i) const {
    const Step& step = program_.steps[i];
    PricedStep result;
    result.op = std::get_if<Operator>(&step);
    result.communication = std::get_if<Communication>(&step);
    if (result.op != nullptr) {
      result.cost = operator_cost(*result.op, context_);
      result.ground = result.cost.ground;
      return result;
    }
    const Communication& communication = *result.communication;
    if (communication.forward)
      result.forward_communication =
          calls_of(communication, *communication.forward, result.ground, element_gathered_by(i))
              .times(communication.repeats);
    if (communication.backward)
      result.backward_communication =
          calls_of(communication, *communication.backward, result.ground, context_.execution.activation_element)
              .times(communication.backward_repeats);
    if (communication.regathers_input)
      result.regather =
          calls_of(communication, CollectiveKind::all_gather, result.ground, context_.execution.activation_element);
    return result;
  }

  // Bytes of an element that the communication of step i sends forward: the narrower type where fp8 shards are gathered
  // for the product that follows.
  Bytes element_gathered_by(std::size_t i) const {
    const auto& communication = std::get<Communication>(program_.steps[i]);
    const Operator* next = i + 1 < program_.steps.size() ? std::get_if<Operator>(&program_.steps[i + 1]) : nullptr;
    const bool narrow = context_.precision.fp8_activation_gather && communication.axis == Axis::tensor &&
                        communication.forward == CollectiveKind::all_gather && next != nullptr &&
                        next->kind == OperatorKind::linear && quantised(*next, context_.precision);
    return narrow ? element_size(context_.precision.matrix) : context_.execution.activation_element;
  }

  GroupLayout layout_of(const Communication& communication) const {
    const GroupLayout& all = context_.groups[static_cast<std::size_t>(communication.axis)];
    if (communication.part == GroupPart::inside_node) return {all.ranks_per_node, all.ranks_per_node};
    if (communication.part == GroupPart::across_nodes)
      return {all.ranks / all.ranks_per_node, 1, all.members, all.bridges};
    if (communication.ranks <= 0) return all;
    const std::int64_t on_node = std::max<std::int64_t>(1, all.ranks_per_node / communication.stride);
    const std::int64_t here = std::min(communication.ranks, on_node);
    return {communication.ranks, here, all.members, all.bridges && communication.ranks > here};
  }

  // One call.
  PricedCalls calls_of(const Communication& communication, CollectiveKind kind, Ground& ground, Bytes element) const {
    const double stretch = context_.stretch[static_cast<std::size_t>(communication.axis)];
    const GroupLayout layout = layout_of(communication);
    const Network& network = context_.network_of(layout.bridges);
    const std::int64_t ranks = ranks_of(communication.axis);
    const double sent =
        share_sent(communication.once, communication.part == GroupPart::inside_node ? ranks : layout.ranks);
    const Bytes bytes =
        element * (context_.tokens * communication.row_share * sent * communication.width * communication.busiest +
                   communication.weight_elements);
    if (kind == CollectiveKind::send_receive) {
      ground = Ground::measured;
      const double sharers = static_cast<double>(network.gpus_per_node);
      const auto message = [&](Bytes length) {
        return point_to_point_time(network, layout.ranks_per_node >= layout.ranks, length, sharers) * stretch;
      };
      return {message(bytes), one_call(communication, kind, bytes, (message(bytes) - message(bytes / 2)) * 2)};
    }
    const CollectiveCall call{kind, shape_of(layout), bytes};
    const CollectivePrice price = collective_time(network, call);
    ground = price.ground;
    const bool reorders =
        context_.reorders_sequence_shards && communication.axis == Axis::tensor && kind != CollectiveKind::all_reduce;
    const Seconds time = price.time * stretch;
    const Seconds copies = reorders ? memory_bound_time(*context_.device, bytes * 2, 1).time : Seconds(0);
    const bool on_links = context_.on_links[static_cast<std::size_t>(communication.axis)];
    const Seconds transfer = on_links ? std::min(time, transfer_part(network, call) * stretch) : Seconds(0);
    return {time + copies, one_call(communication, kind, bytes, transfer)};
  }

  static void tally(Price& price, Seconds time, Ground ground) {
    price.by_ground[static_cast<std::size_t>(ground)] += time;
  }

  void add_forward(Price& price, Seconds& sum, const PricedStep& step) const {
    sum += step.cost.forward;
    tally(price, step.cost.forward, step.cost.ground);
    price.flops += step.cost.flops.forward;
    price.host += launch(step, context_.host.forward_kernel, step.cost.forward_kernels, 1);
  }

  // Host time of one direction of an operator; `products` of each expert, where it is a grouped product.
  Seconds launch(const PricedStep& step, Seconds kernel, double kernels, double products) const {
    if (is_replayed(context_.graphs, *step.op)) return Seconds(0);
    const double calls = step.op->experts > 1 ? products * static_cast<double>(step.op->experts) : 0;
    return kernel * kernels + context_.host.grouped_product * calls;
  }

  static void add_compute(Price& price, Seconds time, Flops flops, const PricedStep& step) {
    price.compute += time;
    price.flops += flops;
    tally(price, time, step.cost.ground);
  }

  // The part of a collective that `cover` does not hide; while both run, compute loses the overlap slowdown.
  void expose(Price& price, std::size_t i, const PricedCalls& calls, Seconds cover, Seconds host) const {
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
    price.host += host * (communication.hiding == Hiding::blocks ? communication.repeats : collective_kernels);
    if (communication.axis == Axis::tensor)
      price.host += context_.host.tensor_rank * static_cast<double>(ranks_of(communication.axis));
  }

  std::int64_t ranks_of(Axis axis) const { return context_.groups[static_cast<std::size_t>(axis)].ranks; }

  const OperatorCost& next_linear(std::size_t i) const {
    for (std::size_t next = i + 1; next < steps_.size(); ++next)
      if (steps_[next].op != nullptr && steps_[next].op->kind == OperatorKind::linear) return steps_[next].cost;
    static const OperatorCost nothing;
    return nothing;
  }

  // Compute that runs beside a collective hidden behind its neighbouring operator: the next one for a gather or a ring,
  // the one before for a reduction. A chunked product leaves its first chunk's transfer uncovered.
  Seconds neighbour_time(std::size_t i, bool backward) const {
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
    const auto ranks = static_cast<double>(ranks_of(communication.axis));
    return whole * ((ranks - 1) / ranks);
  }

  // The operator that step i, a communication, stands before; the end where there is none.
  std::size_t next_operator(std::size_t i) const {
    while (i < steps_.size() && steps_[i].op == nullptr) ++i;
    return i;
  }

  // Of the block products behind step i, what runs beside it: all turns but the first, shared with the other
  // communications of the same products by how long each takes.
  Seconds block_time(std::size_t i, bool backward) const {
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
  Seconds share_of_pass(bool backward) const {
    Seconds compute;
    double hidden = 0;
    for (const PricedStep& step : steps_) {
      compute += backward ? step.cost.input_gradient + step.cost.weight_gradient : step.cost.forward;
      if (step.communication != nullptr && step.communication->hiding == Hiding::micro_batch) hidden += 1;
    }
    return compute / hidden;
  }

  Seconds hidden_backward(std::size_t i, bool weights) const {
    const Communication& communication = *steps_[i].communication;
    if (communication.hiding == Hiding::operators || communication.hiding == Hiding::micro_batch ||
        communication.hiding == Hiding::blocks)
      return neighbour_time(i, true);
    if (communication.hiding == Hiding::weight_gradient && weights) return next_linear(i).weight_gradient;
    return Seconds(0);
  }

  const LayerProgram& program_;
  CostContext context_;
  std::vector<PricedStep> steps_;
};

}  // namespace

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
  const PassBuilder builder((*context_.blocks)[static_cast<std::size_t>(run.block)], of_part(run));
  Price price;
  switch (run.rerun) {
    case Rerun::nothing:
      break;
    case Rerun::attention_core:
      price += builder.rerun({OperatorKind::attention});
      break;
    case Rerun::selective_operators:
      price += builder.selective_operators();
      break;
    case Rerun::listed_operators:
      price += builder.rerun(context_.recomputed);
      break;
    case Rerun::everything:
      price += builder.forward(true);
      break;
  }
  switch (run.pass) {
    case Pass::forward:
      price += builder.forward(false);
      break;
    case Pass::backward:
      price += builder.backward(true, true);
      break;
    case Pass::input_gradient:
      price += builder.backward(true, false);
      break;
    case Pass::weight_gradient:
      price += builder.backward(false, true);
      break;
  }
  return runs_[key] = price;
}

Price WorkPricer::price_compute(const ComputeWork& work) {
  Price price;
  for (const LayerRun& run : work.runs) price += price_run(run).scaled(run.count);
  return price;
}

Price WorkPricer::price_collectives(const CollectiveChain& chain) const {
  Price price;
  for (const CollectiveWork& call : chain.calls) {
    const CollectivePrice one =
        collective_time(context_.network_of(call.group.bridges), {call.kind, shape_of(call.group), call.bytes});
    const Seconds time = one.time * call.count;
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
  const Network& network = context_.network_of(work.bridges);
  const double sharers = static_cast<double>(network.gpus_per_node);
  const Seconds time = point_to_point_time(network, work.same_node, work.bytes, sharers);
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
  const PassBuilder builder((*context_.blocks)[static_cast<std::size_t>(block)], context_);
  std::vector<OperatorPrice> lines;
  for (const PricedStep& step : builder.steps()) {
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
