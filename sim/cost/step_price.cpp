#include "sim/cost/step_price.h"

#include <algorithm>

#include "sim/cost/collective.h"
#include "sim/cost/dispatch.h"

namespace echelon {
namespace {

class StepPricer {
 public:
  StepPricer(const LayerProgram& program, const CostContext& context) : program_(program), context_(context) {}

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

 private:
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
    if (communication.part != GroupPart::whole) {
      const std::int64_t near = ranks_within_reach(all, *context_.network);
      if (communication.part == GroupPart::inside_node) return {near, all.ranks_per_node};
      return {all.ranks / near, 1, all.members, all.bridges};
    }
    if (communication.ranks <= 0) return all;
    // Those that an axis does not hold go on with the ranks next to it, taken to be on the same nodes.
    const bool beyond = communication.ranks > all.ranks && all.ranks_per_node == all.ranks;
    const std::int64_t neighbours = beyond ? context_.network->gpus_per_node : all.ranks_per_node;
    const std::int64_t on_node = std::max<std::int64_t>(1, neighbours / communication.stride);
    const std::int64_t here = std::min(communication.ranks, on_node);
    return {communication.ranks, here, all.members, all.bridges && communication.ranks > here};
  }

  // One call.
  PricedCalls calls_of(const Communication& communication, CollectiveKind kind, Ground& ground, Bytes element) const {
    const double stretch = context_.stretch[static_cast<std::size_t>(communication.axis)];
    const GroupLayout layout = layout_of(communication);
    const Network& network = context_.network_of(layout.bridges);
    const std::int64_t ranks = context_.ranks_of(communication.axis);
    const double sent =
        share_sent(communication.once, communication.part == GroupPart::inside_node ? ranks : layout.ranks);
    const Bytes bytes =
        element * (context_.tokens * communication.row_share * sent * communication.width * communication.busiest +
                   communication.weight_elements);
    const bool on_links = context_.on_links[static_cast<std::size_t>(communication.axis)];
    if (kind == CollectiveKind::send_receive) {
      ground = Ground::measured;
      const double sharers = static_cast<double>(network.gpus_per_node);
      const auto message = [&](Bytes length) {
        return point_to_point_time(network, layout.ranks_per_node >= layout.ranks, length, sharers) * stretch;
      };
      const Seconds time = message(bytes);
      const Seconds transfer = on_links ? (time - message(bytes / 2)) * 2 : Seconds(0);
      return {time, one_call(communication, kind, bytes, transfer), Seconds(0)};
    }
    const CollectiveCall call{kind, shape_of(layout), bytes};
    const CollectivePrice price = collective_time(network, call);
    ground = price.ground;
    const bool reorders =
        context_.reorders_sequence_shards && communication.axis == Axis::tensor && kind != CollectiveKind::all_reduce;
    const Seconds time = price.time * stretch;
    const Seconds copies = reorders ? memory_bound_time(*context_.device, bytes * 2, 1).time : Seconds(0);
    const Seconds transfer = on_links ? std::min(time, transfer_part(network, call) * stretch) : Seconds(0);
    return {time + copies, one_call(communication, kind, bytes, transfer),
            context_.host.checked_rank * static_cast<double>(layout.ranks)};
  }

  const LayerProgram& program_;
  const CostContext& context_;
};

}  // namespace

std::vector<PricedStep> price_steps(const LayerProgram& program, const CostContext& context) {
  const StepPricer pricer(program, context);
  std::vector<PricedStep> steps;
  for (std::size_t i = 0; i < program.steps.size(); ++i) steps.push_back(pricer.priced(i));
  return steps;
}

}  // namespace echelon
