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

// The products of 16 experts, of which each token goes to 4, 2880 features wide inside and out.
Operator expert_product(TensorSplit split, bool bias) {
  Operator op;
  op.kind = OperatorKind::linear;
  op.split = split;
  op.in_features = op.out_features = 2880;
  op.experts = 16;
  op.routed = true;
  op.row_share = 4;
  op.parameters = 16 * (2880.0 * 2880 + (bias ? 2880 : 0));
  return op;
}

Operator expert_gate(bool clamped) {
  Operator op;
  op.kind = OperatorKind::activation;
  op.gated = true;
  op.routed = true;
  op.row_share = 4;
  op.width = 2880;
  op.clamped = clamped;
  return op;
}

}  // namespace

TEST_CASE("Transformer Engine's permutation is slower than its bytes, and a sort after an all-to-all comes on top") {
  Execution execution;
  execution.style = KernelStyle::transformer_engine;
  Operator op;
  op.kind = OperatorKind::permute;
  op.width = 4096;
  op.row_share = 8;
  const auto bytes = [&](Permuter permuter) {
    op.permuter = permuter;
    return traffic(op, tokens, sequence, execution).forward.moved.value();
  };
  const double pass = 2 * tokens * 8 * 4096;
  CHECK(bytes(Permuter::kernel) == Approx(3.9 * pass));
  CHECK(bytes(Permuter::kernel_and_sort) == Approx(5.9 * pass));
  CHECK(bytes(Permuter::exchange) == Approx(2 * pass));
  execution.style = KernelStyle::megatron_fused;
  CHECK(bytes(Permuter::kernel) == bytes(Permuter::exchange));
}

TEST_CASE("sines and cosines with a factor leave Transformer Engine's fused rotation") {
  Execution execution;
  execution.style = KernelStyle::transformer_engine;
  Operator op;
  op.kind = OperatorKind::rotary;
  op.attention = attention().attention;
  const auto moved = [&] { return traffic(op, tokens, sequence, execution); };
  const double pass = 2 * tokens * (64 + 64) * 128;
  CHECK(moved().forward.moved.value() == Approx(2 * pass));
  op.scaled = true;
  CHECK(moved().forward.moved.value() == Approx(12 * pass));
  CHECK(moved().backward.moved.value() == Approx(17 * pass));
  execution.style = KernelStyle::compiled;
  CHECK(moved().forward.moved.value() == Approx(2 * pass));
}

TEST_CASE("Megatron-Core adds its experts' second biases one expert at a time") {
  Execution execution;
  execution.style = KernelStyle::transformer_engine;
  const auto moved = [&](TensorSplit split, bool bias) {
    return traffic(expert_product(split, bias), tokens, sequence, execution);
  };
  const double elements = 4 * tokens * 2880;
  const OperatorTraffic with = moved(TensorSplit::row, true);
  const OperatorTraffic without = moved(TensorSplit::row, false);
  CHECK((with.forward.moved - without.forward.moved).value() == Approx(28 * elements));
  CHECK((with.backward.moved - without.backward.moved).value() == Approx(40 * elements));
  CHECK(with.forward.kernels - without.forward.kernels == 2 + 2 * 16);
  // The first product's bias is added in its epilogue; its gradient sums the columns.
  const OperatorTraffic first = moved(TensorSplit::column, true);
  CHECK(first.forward.moved.value() == 0);
  CHECK(first.backward.moved.value() == Approx(2 * elements));
  execution.fused_experts = true;
  CHECK(moved(TensorSplit::row, true).backward.moved.value() == Approx(2 * elements));
  execution.fused_experts = false;
  execution.style = KernelStyle::compiled;
  CHECK(moved(TensorSplit::row, true).forward.moved.value() == 0);
}

TEST_CASE("Megatron-Core clamps before its fused gate, and keeps both") {
  Execution execution;
  execution.style = KernelStyle::transformer_engine;
  const auto moved = [&](bool clamped) { return traffic(expert_gate(clamped), tokens, sequence, execution); };
  const auto kept = [&](bool clamped) {
    return saved_activations(expert_gate(clamped), tokens, sequence, execution).kept.value();
  };
  const double elements = 4 * tokens * 2880;
  CHECK((moved(true).forward.moved - moved(false).forward.moved).value() == Approx(16 * elements));
  CHECK((moved(true).backward.moved - moved(false).backward.moved).value() == Approx(20 * elements));
  CHECK(kept(false) == Approx(2 * 2 * elements));
  CHECK(kept(true) == Approx(2 * kept(false)));
  execution.fused_experts = true;
  CHECK(moved(true).forward.moved == moved(false).forward.moved);
  CHECK(kept(true) == kept(false));
}

TEST_CASE("Megatron's own layers add the bias of queries, keys and values behind their product") {
  Execution execution;
  Operator op;
  op.name = "qkv";
  op.split = TensorSplit::column;
  op.in_features = 8192;
  op.out_features = 3 * 8192;
  op.parameters = op.in_features * op.out_features + op.out_features;
  // A pass in and one out, of two bytes an element.
  const auto forward = [&] { return traffic(op, tokens, sequence, execution).forward; };
  CHECK(forward().moved.value() == Approx(2 * 2 * tokens * 3 * 8192));
  CHECK(forward().kernels == 2);
  execution.style = KernelStyle::transformer_engine;  // in the product's epilogue
  CHECK(forward().moved.value() == 0);
  execution.style = KernelStyle::megatron_fused;
  op.name = "mlp_up";  // in the activation's kernel
  CHECK(forward().moved.value() == 0);
  op.name = "qkv";
  op.parameters = op.in_features * op.out_features;
  CHECK(forward().moved.value() == 0);
  CHECK(forward().kernels == 1);
}

TEST_CASE("a GELU whose forward pass is not fused runs ten kernels there, to the host one") {
  Operator op;
  op.kind = OperatorKind::activation;
  op.width = 16384;
  Execution execution;
  const auto moved = [&] { return traffic(op, 1024, 1024, execution); };
  const OperatorTraffic fused = moved();
  execution.fused_activation = false;
  const OperatorTraffic apart = moved();
  CHECK(apart.forward.moved == Bytes(1024.0 * 16384 * 2 * 23));
  CHECK(apart.forward.kernels == fused.forward.kernels);
  CHECK(apart.backward.moved == fused.backward.moved);
  for (const bool gated : {false, true}) {
    op.gated = gated;
    execution.style = gated ? KernelStyle::megatron_fused : KernelStyle::transformer_engine;
    execution.fused_activation = true;
    const Bytes before = moved().forward.moved;
    execution.fused_activation = false;
    CHECK(moved().forward.moved == before);
  }
}

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

TEST_CASE("a metric takes the loss once more from the logits, forward alone and in eager kernels") {
  Operator loss;
  loss.kind = OperatorKind::cross_entropy;
  loss.width = 50368;
  Execution execution;
  execution.style = KernelStyle::compiled;
  const OperatorTraffic without = traffic(loss, tokens, sequence, execution);
  execution.metric_losses = 2;
  const OperatorTraffic with = traffic(loss, tokens, sequence, execution);
  // PyTorch's autocast reads 2 bytes of a logit and writes 4, log_softmax reads and writes 4: 14 bytes a metric.
  CHECK((with.forward.moved - without.forward.moved).value() == Approx(2 * 14 * tokens * 50368));
  CHECK(with.forward.kernels == without.forward.kernels + 2 * 3);
  CHECK(with.backward.moved == without.backward.moved);
  CHECK(with.backward.kernels == without.backward.kernels);
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

TEST_CASE("a ring merges as its framework does: two fused kernels in 16 bits, or PyTorch's operators in fp32") {
  Operator ring = attention();
  ring.attention.kv_heads = 8;
  Operator alone = ring;
  ring.merged_partials = 3;
  const auto added = [&](KernelStyle style) {
    Execution execution;
    execution.style = style;
    OperatorTraffic more = traffic(ring, tokens, sequence, execution);
    const OperatorTraffic without = traffic(alone, tokens, sequence, execution);
    more.forward.moved -= without.forward.moved;
    more.forward.kernels -= without.forward.kernels;
    more.backward.moved -= without.backward.moved;
    more.backward.kernels -= without.backward.kernels;
    return more;
  };
  const double output = 3 * tokens * 64 * 128;
  for (const KernelStyle style : {KernelStyle::transformer_engine, KernelStyle::megatron_fused}) {
    const OperatorTraffic fused = added(style);
    CHECK(fused.forward.kernels == 3 * 2);
    CHECK(fused.backward.kernels == 3 * 3);
    CHECK(fused.forward.moved.value() ==
          Approx(6 * output));  // a partial output read, the running one read and written
    CHECK(fused.backward.moved.value() == Approx(6 * output * (1 + 2 * 8.0 / 64)));  // queries', keys' and values'
  }
  const OperatorTraffic eager = added(KernelStyle::eager);
  CHECK(eager.forward.kernels == 3 * 5);
  CHECK(eager.forward.moved.value() == Approx(38 * output));
}

}  // namespace echelon
