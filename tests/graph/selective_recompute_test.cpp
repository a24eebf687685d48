#include "sim/graph/selective_recompute.h"

#include "tests/catch.h"

using namespace echelon;

namespace {

Operator linear(double in, double out) {
  Operator op;
  op.kind = OperatorKind::linear;
  op.in_features = in;
  op.out_features = out;
  return op;
}

// A Llama block of 32 query and 8 key-value heads of 128: products q, k, v, o, gate, up, down.
LayerProgram llama_block(bool scatters) {
  LayerProgram program;
  program.steps.emplace_back(linear(4096, 6144));
  Operator attention;
  attention.kind = OperatorKind::attention;
  attention.attention = {32, 8, 128, 128};
  program.steps.emplace_back(attention);
  program.steps.emplace_back(linear(4096, 4096));
  if (scatters) {
    Communication communication;
    communication.forward = CollectiveKind::reduce_scatter;
    program.steps.emplace_back(communication);
  }
  program.steps.emplace_back(linear(4096, 2 * 14336));
  Operator gate;
  gate.kind = OperatorKind::activation;
  gate.gated = true;
  gate.width = 14336;
  program.steps.emplace_back(gate);
  program.steps.emplace_back(linear(14336, 4096));
  return program;
}

}  // namespace

TEST_CASE("every second product is kept, and the last is never run again") {
  Execution execution;
  execution.style = KernelStyle::eager;
  const auto shares = selective_shares(llama_block(false), execution);
  CHECK(shares[0].kept == Approx((4096 + 1024) / 6144.0));  // q and v
  CHECK(shares[0].rerun == Approx(1024 / 6144.0));          // k
  CHECK(shares[2].kept == 0);                               // o
  CHECK(shares[2].rerun == 1);
  CHECK(shares[3].kept == 0.5);  // gate
  CHECK(shares[3].rerun == 0.5);
  CHECK(shares[5].kept == 1);  // down
  CHECK(shares[5].rerun == 0);
}

TEST_CASE("compiled blocks drop what only a kept reduce-scatter reads") {
  Execution execution;
  execution.style = KernelStyle::compiled;
  CHECK(selective_shares(llama_block(true), execution)[2].rerun == 0);
  execution.style = KernelStyle::eager;
  CHECK(selective_shares(llama_block(true), execution)[2].rerun == 1);
}
