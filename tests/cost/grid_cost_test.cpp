// Turns of a product on a grid of ranks: what its blocks' broadcasts show.
#include "sim/cost/collective.h"
#include "sim/cost/operator_cost.h"
#include "tests/catch.h"
#include "tests/cost/round_device.h"

using namespace echelon;

namespace {

constexpr double turns = 4;

Network sixteen_on_two_nodes() {
  Network network;
  network.gpus_per_node = 8;
  network.ring_bus = gigabytes_per_second(200);
  network.adapters = 8;
  network.adapter_rate = gigabytes_per_second(20);
  return network;
}

Communication turning(std::int64_t stride, CollectiveKind kind, double width, double weights) {
  Communication part;
  part.ranks = 4;
  part.stride = stride;
  part.forward = kind;
  part.backward = kind;
  part.row_share = width > 0 ? 1 : 0;
  part.width = width;
  part.weight_elements = weights;
  part.repeats = part.backward_repeats = turns;
  part.hiding = Hiding::blocks;
  return part;
}

// 1,000 inputs, 2,000 outputs; a turn has a quarter of the inputs.
LayerProgram product() {
  Operator op;
  op.in_features = 1000;
  op.out_features = 2000;
  op.block_steps = turns;
  op.saved_input_share = 1 / turns;
  op.parameters = 250 * 2000;
  LayerProgram program;
  program.steps.emplace_back(turning(1, CollectiveKind::broadcast, 250, 0));
  program.steps.emplace_back(turning(4, CollectiveKind::broadcast, 0, 250 * 2000));
  program.steps.emplace_back(op);
  return program;
}

struct Case {
  Device device = test::round_device();
  Network network = sixteen_on_two_nodes();
  std::vector<LayerProgram> blocks = {product()};
  CostContext context;

  explicit Case(double tokens) {
    context.device = &device;
    context.network = &network;
    context.blocks = &blocks;
    context.groups[static_cast<std::size_t>(Axis::tensor)] = {16, 8};
    context.tokens = tokens;
    context.sequences = 1;
    context.sequence = tokens;
  }
  Price price(Pass pass) const {
    WorkPricer pricer(context);
    LayerRun run;
    run.pass = pass;
    return pricer.price(ComputeWork{{run}});
  }
  double exposed(Pass pass) const { return price(pass).exposed[static_cast<std::size_t>(Axis::tensor)].value(); }
};

}  // namespace

TEST_CASE("the first turn's blocks are waited for, the others run beside the turn before") {
  bool waits = false;
  bool hides = false;
  for (const double tokens : {100.0, 1000.0, 10'000.0, 100'000.0}) {
    const Case one(tokens);
    // A row of the grid lies on one node, a column on both of them.
    const auto broadcast = [&](GroupShape shape, double elements) {
      return collective_time(one.network, {CollectiveKind::broadcast, shape, Bytes(2 * elements)}).time.value();
    };
    const double blocks = broadcast({4, 4}, tokens * 250) + broadcast({4, 2}, 250 * 2000);
    const auto& op = std::get<Operator>(one.blocks[0].steps.back());
    const double product = operator_cost(op, one.context).forward.value() / turns;
    CHECK(one.exposed(Pass::forward) == Approx(blocks + (turns - 1) * std::max(0.0, blocks - product)));
    (blocks > product ? waits : hides) = true;
  }
  CHECK(waits);
  CHECK(hides);
}

TEST_CASE("a turn multiplies its share of the inputs") {
  const Case one(5000);
  // 2 x 5,000 x 1,000 x 2,000 operations in four products of 50 x 20 tiles of 250 terms: 10 waves each, 100 TFLOPS.
  CHECK(one.price(Pass::forward).compute.value() == Approx(2.0 * 5000 * 1000 * 2000 / 100e12));
  CHECK(one.price(Pass::forward).flops.value() == Approx(2.0 * 5000 * 1000 * 2000));
}

TEST_CASE("what belongs to weight gradients runs with them") {
  Case one(1000);
  Communication& weights = std::get<Communication>(one.blocks[0].steps[1]);
  weights.forward = std::nullopt;
  weights.backward = CollectiveKind::reduce;
  weights.for_weight_gradient = true;
  CHECK(one.exposed(Pass::input_gradient) > 0);
  CHECK(one.exposed(Pass::weight_gradient) > 0);
  CHECK(one.exposed(Pass::backward) == Approx(one.exposed(Pass::input_gradient) + one.exposed(Pass::weight_gradient)));
}
