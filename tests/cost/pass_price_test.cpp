// What running parts of a layer again costs.
#include "sim/cost/pass_price.h"

#include "tests/catch.h"
#include "tests/cost/round_device.h"

using namespace echelon;

namespace {

Operator named(const char* name, OperatorKind kind) {
  Operator op;
  op.name = name;
  op.kind = kind;
  op.width = op.in_features = op.out_features = 1000;
  return op;
}

// To the experts and back, between the operators that Megatron-Core's module moe is made of.
LayerProgram mixture() {
  Communication exchange;
  exchange.axis = Axis::expert;
  exchange.forward = exchange.backward = CollectiveKind::all_to_all;
  exchange.width = 1000;
  LayerProgram program;
  program.steps.emplace_back(named("mlp_norm", OperatorKind::norm));
  program.steps.emplace_back(named("dispatch", OperatorKind::permute));
  program.steps.emplace_back(exchange);
  Operator up = named("experts_up", OperatorKind::linear);
  up.routed = true;
  program.steps.emplace_back(up);
  program.steps.emplace_back(named("experts_activation", OperatorKind::activation));
  program.steps.emplace_back(named("experts_down", OperatorKind::linear));
  program.steps.emplace_back(exchange);
  program.steps.emplace_back(named("combine", OperatorKind::permute));
  return program;
}

// Two experts of 100 features in fp8, with what the host takes for one call and for no kernel.
OperatorCost experts_in_fp8(bool row_split, bool pads, bool fused) {
  const Device device = test::round_device();
  CostContext context;
  context.device = &device;
  context.tokens = context.sequence = 1000;
  context.sequences = 1;
  context.precision.matrix = DataType::fp8;
  context.pads_experts = pads;
  context.execution.fused_experts = fused;
  Operator op = named("experts", OperatorKind::linear);
  op.in_features = op.out_features = 100;
  op.split = row_split ? TensorSplit::row : TensorSplit::column;
  op.experts = 2;
  op.routed = true;
  return operator_cost(op, context);
}

}  // namespace

TEST_CASE("what experts read is quantised one expert after the other") {
  const OperatorCost apart = experts_in_fp8(false, false, false);
  const OperatorCost fused = experts_in_fp8(false, false, true);
  // The maximum, the scale and the cast of two experts; in one operation no call for single ones.
  CHECK(apart.forward_calls == 2 * 3);
  CHECK(apart.backward_calls == 2 * 3);
  CHECK(fused.forward_calls == 0);
  // Four and two launches of the whole there, none beside the calls here.
  CHECK(fused.forward_kernels - apart.forward_kernels == 4);
  CHECK(fused.backward_kernels - apart.backward_kernels == 2);
  // A microsecond a kernel: six for four, and six for two.
  CHECK((apart.forward - fused.forward).value() == Approx(2e-6));
  CHECK((apart.input_gradient - fused.input_gradient).value() == Approx(4e-6));
}

TEST_CASE("rows of experts are copied to whole blocks and back") {
  // 1,000 rows of 100 elements of two bytes, read and written at 1 TB/s, and the probabilities in a kernel of their
  // own.
  const Seconds there = experts_in_fp8(false, true, false).forward - experts_in_fp8(false, false, false).forward;
  const Seconds back = experts_in_fp8(true, true, false).forward - experts_in_fp8(true, false, false).forward;
  CHECK(there.value() == Approx(0.4e-6 + 2e-6));
  CHECK(back.value() == Approx(0.4e-6 + 1e-6));
}

TEST_CASE("experts that run again are sent their tokens again, and parts of them are not") {
  const Device device = test::round_device();
  Network network;
  network.gpus_per_node = 8;
  network.ring_bus = gigabytes_per_second(200);
  CostContext context;
  context.device = &device;
  context.network = &network;
  context.groups[static_cast<std::size_t>(Axis::expert)] = {8, 8};
  context.tokens = context.sequence = 1000;
  context.sequences = 1;
  const LayerProgram program = mixture();
  const PassPricer pricer(program, context);
  const auto exposed = [](const Price& price) { return price.exposed[static_cast<std::size_t>(Axis::expert)].value(); };
  const double both = exposed(pricer.forward(true));
  CHECK(both > 0);
  CHECK(exposed(pricer.rerun({{}, {RecomputeModule::moe}})) == Approx(both));
  CHECK(exposed(pricer.rerun({{}, {RecomputeModule::moe_act}})) == 0);
  CHECK(exposed(pricer.rerun({{OperatorKind::linear}, {}})) == 0);
  CHECK(pricer.rerun({{}, {RecomputeModule::moe_act}}).recompute <
        pricer.rerun({{}, {RecomputeModule::moe}}).recompute);
}

TEST_CASE("a ring that is one operation for autograd launches its steps by calls") {
  const Device device = test::round_device();
  CostContext context;
  context.device = &device;
  context.tokens = context.sequence = 1000;
  context.sequences = 1;
  Operator alone = named("attention", OperatorKind::attention);
  alone.attention.heads = alone.attention.kv_heads = 8;
  alone.attention.qk_head_dim = alone.attention.v_head_dim = 125;
  Operator ring = alone;
  ring.merged_partials = 7;
  const OperatorCost one = operator_cost(alone, context);
  const OperatorCost fused = operator_cost(ring, context);
  // Attention and two corrections of seven steps forward; attention and the sums of three gradients backward.
  CHECK(fused.forward_kernels == one.forward_kernels);
  CHECK(fused.backward_kernels == one.backward_kernels);
  CHECK(fused.forward_calls == 7 * 3);
  CHECK(fused.backward_calls == 7 * 4);
  context.execution.style = KernelStyle::eager;
  const OperatorCost eager = operator_cost(ring, context);
  CHECK(eager.forward_calls == 0);
  CHECK(eager.forward_kernels - operator_cost(alone, context).forward_kernels == 7 * 5);
}

TEST_CASE("a host waits for the counts of tokens that are sent again, and not for parts of experts") {
  const Device device = test::round_device();
  CostContext context;
  context.device = &device;
  context.tokens = context.sequence = 1000;
  context.sequences = 1;
  context.host.forward_kernel = Seconds(1e-3);  // far behind the device
  context.waits_for_counts = true;
  LayerProgram program = mixture();
  program.steps.erase(program.steps.begin());  // the module alone
  const PassPricer pricer(program, context);
  const Price whole = pricer.forward(true);
  const Price again = pricer.rerun({{}, {RecomputeModule::moe}});
  CHECK(whole.idle > Seconds(0));
  CHECK(again.idle == whole.idle);
  CHECK(again.host == again.device());
  const Price activation = pricer.rerun({{}, {RecomputeModule::moe_act}});
  CHECK(activation.idle == Seconds(0));
  CHECK(activation.host > activation.device());
}
