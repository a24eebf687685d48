#include "sim/model/kernel_style.h"

#include "tests/catch.h"

namespace echelon {
namespace {

constexpr double tokens = 4096;
constexpr double sequence = 2048;

Operator layer_norm() {
  Operator op;
  op.kind = OperatorKind::norm;
  op.width = 8192;
  return op;
}

Operator attention() {
  Operator op;
  op.kind = OperatorKind::attention;
  op.width = 64 * 128;
  op.attention.heads = 64;
  op.attention.kv_heads = 64;
  op.attention.qk_head_dim = 128;
  op.attention.v_head_dim = 128;
  return op;
}

}  // namespace

TEST_CASE("PyTorch's LayerNorm takes the time that was measured") {
  // github.com/allenai/OLMo/issues/258, A100: 949.80 and 491.52 GB/s, counted as two and three passes of two-byte
  // elements; 1,409.38 GB/s is what memory gave there.
  Execution execution;
  execution.style = KernelStyle::eager;
  const OperatorTraffic moved = traffic(layer_norm(), tokens, sequence, execution);
  const double pass = 2 * tokens * 8192;
  CHECK(moved.forward.moved.value() / 1409.38 == Approx(2 * pass / 949.80).epsilon(0.02));
  CHECK(moved.backward.moved.value() / 1409.38 == Approx(3 * pass / 491.52).epsilon(0.02));
}

TEST_CASE("llm-foundry's attention copies its three gradients into one") {
  Execution execution;
  const OperatorTraffic without = traffic(attention(), tokens, sequence, execution);
  execution.attention = AttentionKernel::flash_triton;
  const OperatorTraffic with = traffic(attention(), tokens, sequence, execution);
  CHECK(with.forward.moved == without.forward.moved);
  CHECK((with.backward.moved - without.backward.moved).value() == Approx(tokens * 3 * 8192 * 2 * 2));
}

TEST_CASE("Megatron-LM's own layers copy what lies side by side") {
  Execution execution;
  execution.style = KernelStyle::megatron_fused;
  const double row = 8192 * 2;  // bytes of queries, keys, values or context of one token
  const OperatorTraffic flash = traffic(attention(), tokens, sequence, execution);
  CHECK(flash.forward.moved.value() == Approx(tokens * 6 * row));   // the three, read and written
  CHECK(flash.backward.moved.value() == Approx(tokens * 6 * row));  // their gradients into one tensor
  execution.attention = AttentionKernel::unfused;
  const double scores = tokens * 64 * sequence * 2;
  const OperatorTraffic unfused = traffic(attention(), tokens, sequence, execution);
  CHECK(unfused.forward.moved.value() == Approx(2 * scores + tokens * 2 * row));
  CHECK(unfused.backward.moved.value() == Approx(3 * scores + tokens * 8 * row));
}

}  // namespace echelon
