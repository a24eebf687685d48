#include "strategies/state.h"

#include "tests/catch.h"

using namespace echelon;

namespace {

double bytes_per_parameter(const Workload& workload, Sharding sharding, double ranks) {
  const ShardedState state = sharded_state(1, state_bytes(workload), sharding, ranks);
  return (state.parameters + state.gradients + state.optimizer + state.step).value();
}

}  // namespace

TEST_CASE("bytes of a parameter as Megatron-LM's distributed-optimizer document lists them") {
  Workload workload;  // bf16 with fp32 gradients: 18, sharded 6 + 12/d
  CHECK(bytes_per_parameter(workload, Sharding::none, 8) == Approx(18));
  CHECK(bytes_per_parameter(workload, Sharding::zero1, 8) == Approx(6 + 12.0 / 8));
  workload.precision.compute = DataType::fp16;  // fp16 gradients: 20, sharded 4 + 16/d
  workload.precision.gradient = DataType::fp16;
  CHECK(bytes_per_parameter(workload, Sharding::none, 8) == Approx(20));
  CHECK(bytes_per_parameter(workload, Sharding::zero1, 8) == Approx(4 + 16.0 / 8));
  workload.precision.compute = DataType::fp32;  // 16, sharded 8 + 8/d
  CHECK(bytes_per_parameter(workload, Sharding::none, 8) == Approx(16));
  CHECK(bytes_per_parameter(workload, Sharding::zero1, 8) == Approx(8 + 8.0 / 8));
}

TEST_CASE("the fp32 copy of 16-bit gradients lives as long as the step") {
  Workload workload;
  workload.precision.gradient = DataType::bf16;
  CHECK(state_bytes(workload).step == Bytes(4));
  CHECK(state_bytes(workload).optimizer == Bytes(12));
  workload.precision.gradient = DataType::fp32;
  CHECK(state_bytes(workload).step == Bytes(0));
}

TEST_CASE("ZeRO's table: 7.5B parameters on 64 ranks") {
  // arXiv:1910.02054, figure 1: 16 bytes a parameter, of which 2 weights, 2 gradients, 12 states: 120, 31.4, 16.6, 1.9
  // GB.
  const StateBytes zero{Bytes(2), Bytes(2), Bytes(12), Bytes(0)};
  const auto gigabytes = [&](Sharding sharding) {
    const ShardedState state = sharded_state(7.5e9, zero, sharding, 64);
    return (state.parameters + state.gradients + state.optimizer).value() / 1e9;
  };
  CHECK(gigabytes(Sharding::none) == Approx(120));
  CHECK(gigabytes(Sharding::zero1) == Approx(31.4).epsilon(0.005));
  CHECK(gigabytes(Sharding::zero2) == Approx(16.6).epsilon(0.005));
  CHECK(gigabytes(Sharding::zero3) == Approx(1.9).epsilon(0.02));
}

TEST_CASE("PyTorch keeps fp32 parameters, gradients and moments") {
  Workload workload;
  workload.optimizer_variant = OptimizerVariant::pytorch;
  CHECK(bytes_per_parameter(workload, Sharding::zero3, 8) == Approx(16.0 / 8));
}

TEST_CASE("device memory that an Adam step moves, kernel by kernel") {
  Workload workload;
  workload.precision.compute = DataType::fp16;
  workload.precision.gradient = DataType::fp16;
  // copy to fp32 2 + 4, unscale 8, norm 4, clip 8, Adam 4 + 24, copy to the weight 4 + 2, zero 2
  CHECK(optimizer_traffic(workload).value() == 62);
  workload.precision.compute = DataType::bf16;
  workload.precision.gradient = DataType::fp32;
  // norm 4, clip 8, Adam 28, copy to the weight 6, zero 4
  CHECK(optimizer_traffic(workload).value() == 50);
  workload.optimizer_variant = OptimizerVariant::pytorch;
  // norm 4, clip 8, and 80 operation by operation
  CHECK(optimizer_traffic(workload).value() == 92);
}
