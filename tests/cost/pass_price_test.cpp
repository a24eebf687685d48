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
  program.steps.emplace_back(named("experts_up", OperatorKind::linear));
  program.steps.emplace_back(named("experts_activation", OperatorKind::activation));
  program.steps.emplace_back(named("experts_down", OperatorKind::linear));
  program.steps.emplace_back(exchange);
  program.steps.emplace_back(named("combine", OperatorKind::permute));
  return program;
}

}  // namespace

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
