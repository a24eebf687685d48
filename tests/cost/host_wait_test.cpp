// What layers lose whose host waits for their tokens to be counted.
#include "sim/cost/host_wait.h"

#include "sim/cost/pass_price.h"
#include "tests/catch.h"
#include "tests/cost/round_device.h"

using namespace echelon;

namespace {

Seconds idle(const std::vector<LaunchedStep>& steps, std::size_t first) {
  return idle_between_waits(steps, first);
}

LaunchedStep step(double device, double host) {
  return {microseconds(device), microseconds(host)};
}

Operator pointwise(const char* name, OperatorKind kind) {
  Operator op;
  op.name = name;
  op.kind = kind;
  op.width = 1000;
  return op;
}

// A norm, the permutation, and two experts of 100 features.
LayerProgram mixture() {
  Operator expert = pointwise("experts_up", OperatorKind::linear);
  expert.in_features = expert.out_features = 100;
  expert.experts = 2;
  expert.routed = true;
  LayerProgram program;
  program.steps.emplace_back(pointwise("mlp_norm", OperatorKind::norm));
  program.steps.emplace_back(pointwise("dispatch", OperatorKind::permute));
  program.steps.emplace_back(expert);
  program.steps.emplace_back(pointwise("combine", OperatorKind::permute));
  return program;
}

}  // namespace

TEST_CASE("after a wait the device is as late as the launches are") {
  // The host is done after 30; the device after the last launch.
  CHECK(idle({step(1, 10), step(1, 10), step(1, 10)}, 0).value() == Approx(27e-6));
  // A long kernel right behind the wait hides the launches of all others.
  CHECK(idle({step(1, 10), step(100, 10), step(1, 10)}, 1).value() == Approx(0));
  // In front of it, it hides nothing: 10 and 20 are launched while they could have run, then it takes its time.
  CHECK(idle({step(1, 10), step(1, 10), step(100, 10)}, 0).value() == Approx(18e-6));
  CHECK(idle({}, 0).value() == 0);
}

TEST_CASE("what is launched behind the count is what follows the permutation") {
  CHECK(counted_step(mixture()) == 1);
  LayerProgram dense;
  dense.steps.emplace_back(pointwise("mlp_norm", OperatorKind::norm));
  CHECK_FALSE(counted_step(dense));
}

TEST_CASE("a host that waits for counts takes as long as the device, and is no reason to wait in the backward pass") {
  const Device device = test::round_device();
  Network network;
  CostContext context;
  context.device = &device;
  context.network = &network;
  context.tokens = context.sequence = 1000;
  context.sequences = 1;
  context.host.forward_kernel = microseconds(1000);
  const LayerProgram program = mixture();
  const Price free = PassPricer(program, context).forward(false);
  context.waits_for_counts = true;
  const PassPricer waits(program, context);
  const Price bound = waits.forward(false);
  CHECK(free.idle.value() == 0);
  CHECK(free.host > free.device());
  // Nothing on this device takes a millisecond: the launches are all that there is to wait for.
  CHECK(bound.device().value() == Approx(free.host.value()));
  CHECK(bound.host == bound.device());
  CHECK(bound.compute == free.compute);
  CHECK(waits.backward(true, true).idle.value() == 0);
  CHECK(bound.scaled(3).idle.value() == Approx(3 * bound.idle.value()));
}
