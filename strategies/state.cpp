#include "strategies/state.h"

namespace echelon {

namespace {

bool low_precision(const Workload& workload) {
  return element_size(workload.precision.compute) < Bytes(4);
}

// fp32 moments (and Muon's momentum, SGD's momentum) of an element; Adafactor's factored second moment is negligible.
Bytes moments(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::adam:
      return Bytes(8);
    case OptimizerKind::sgd:
    case OptimizerKind::muon:
      return Bytes(4);
    case OptimizerKind::adafactor:
      return Bytes(0);
  }
  return Bytes(8);
}

}  // namespace

StateBytes state_bytes(const Workload& workload) {
  const Bytes moment = moments(workload.optimizer);
  if (workload.optimizer_variant == OptimizerVariant::pytorch || !low_precision(workload))
    return {Bytes(4), Bytes(4), moment};
  const Bytes gradient = element_size(workload.precision.gradient);
  const Bytes gradient_copy(gradient < Bytes(4) ? 4 : 0);
  return {element_size(workload.precision.compute), gradient, Bytes(4) + moment + gradient_copy};
}

Sharding state_sharding(const Strategy& strategy) {
  const bool divides_all = strategy.sharding == Sharding::zero2 && strategy.zero2_divides_parameters;
  return divides_all ? Sharding::zero3 : strategy.sharding;
}

ShardedState sharded_state(double elements, const StateBytes& bytes, Sharding sharding, double ranks) {
  const double weight_ranks = sharding == Sharding::zero3 || sharding == Sharding::hybrid ? ranks : 1;
  const double gradient_ranks = sharding == Sharding::zero2 ? ranks : weight_ranks;
  const double optimizer_ranks = sharding == Sharding::none ? 1 : ranks;
  return {bytes.weight * elements / weight_ranks, bytes.gradient * elements / gradient_ranks,
          bytes.optimizer * elements / optimizer_ranks};
}

Bytes optimizer_traffic(const Workload& workload) {
  const StateBytes bytes = state_bytes(workload);
  const bool master = workload.optimizer_variant == OptimizerVariant::megatron && low_precision(workload);
  const Bytes states = moments(workload.optimizer) + (master ? Bytes(4) : bytes.weight);
  const Bytes norm_and_scale = bytes.gradient * 3;
  return states * 2 + bytes.gradient + (master ? bytes.weight : Bytes(0)) + norm_and_scale;
}

Bytes compute_weight(const Workload& workload) {
  return element_size(workload.precision.compute);
}

Bytes gathered_weight(const Workload& workload) {
  return workload.precision.fp8_parameter_gather ? Bytes(1) : compute_weight(workload);
}

}  // namespace echelon
