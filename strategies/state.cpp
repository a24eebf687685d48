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

// torch.optim with foreach, its default on GPUs: a kernel for each operation on fp32 lists. AdamW: weight decay (8
// bytes moved), two moments (12 and 8 + 12), square root, division and epsilon (8 each), update (16); SGD with
// momentum: decay (12), momentum (8 + 12), update (12).
Bytes foreach_step(OptimizerKind kind) {
  return Bytes(kind == OptimizerKind::adam ? 80 : 44);
}

}  // namespace

StateBytes state_bytes(const Workload& workload) {
  const Bytes moment = moments(workload.optimizer);
  if (workload.optimizer_variant == OptimizerVariant::pytorch || !low_precision(workload))
    return {Bytes(4), Bytes(4), moment, Bytes(0)};
  const Bytes gradient = element_size(workload.precision.gradient);
  const Bytes gradient_copy(gradient < Bytes(4) ? 4 : 0);
  return {element_size(workload.precision.compute), gradient, Bytes(4) + moment, gradient_copy};
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
          bytes.optimizer * elements / optimizer_ranks, bytes.step * elements / optimizer_ranks};
}

Bytes optimizer_traffic(const Workload& workload) {
  const Bytes fp32(4);
  const Bytes norm_and_clip = fp32 + fp32 * 2;
  const Bytes step = (moments(workload.optimizer) + fp32) * 2 + fp32;
  if (workload.optimizer_variant == OptimizerVariant::pytorch) return norm_and_clip + foreach_step(workload.optimizer);
  if (!low_precision(workload)) return norm_and_clip + step;
  const StateBytes bytes = state_bytes(workload);
  const Bytes to_fp32 = bytes.gradient < fp32 ? bytes.gradient + fp32 : Bytes(0);
  const Bytes unscale = workload.precision.compute == DataType::fp16 ? fp32 * 2 : Bytes(0);
  const Bytes to_weight = fp32 + bytes.weight;
  const Bytes zeroing = bytes.gradient;
  return to_fp32 + unscale + norm_and_clip + step + to_weight + zeroing;
}

Bytes host_optimizer_traffic(const Workload& workload) {
  const Bytes narrow = low_precision(workload) && workload.optimizer_variant != OptimizerVariant::pytorch
                           ? state_bytes(workload).weight
                           : Bytes(0);
  return host_gradient() + host_state(workload) * 2 + narrow;
}

Bytes host_state(const Workload& workload) {
  return Bytes(4) + moments(workload.optimizer);
}

Bytes host_gradient() {
  return Bytes(4);
}

Bytes compute_weight(const Workload& workload) {
  return element_size(workload.precision.compute);
}

Bytes gathered_weight(const Workload& workload) {
  return workload.precision.fp8_parameter_gather ? Bytes(1) : compute_weight(workload);
}

}  // namespace echelon
