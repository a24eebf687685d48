#include "strategies/block_memory.h"

#include <string>

#include "strategies/intra/intra.h"
#include "tests/catch.h"
#include "tests/gpt_shape.h"

using namespace echelon;

namespace {

struct GptLayer {
  const char* name;
  double batch;
  std::int64_t heads;
  std::int64_t hidden;
  // GB of one layer on one of 8 tensor-parallel ranks: formula of arXiv:2205.05198, table 2, at s = 2048.
  double none, tensor, sequence, selective, sequence_selective, full;
};

constexpr GptLayer table[] = {
    {"22B", 4, 64, 6144, 7.08, 1.325, 0.885, 0.654, 0.214, 0.101},
    {"175B", 1, 96, 12288, 2.869, 0.579, 0.359, 0.327, 0.107, 0.0503},
    {"530B", 1, 128, 20480, 4.110, 0.881, 0.514, 0.545, 0.178, 0.0839},
    {"1T", 1, 160, 25600, 5.138, 1.101, 0.642, 0.682, 0.223, 0.105},
};

double kept_gigabytes(const GptLayer& layer, std::int64_t tensor, bool sequence_parallel, Recompute recompute) {
  const Model model = build_transformer(testing::gpt_shape(1, layer.hidden, layer.heads, 51200, 2048));
  Strategy strategy;
  strategy.mesh.tensor = tensor;
  strategy.sequence_parallel = sequence_parallel;
  strategy.keeps_input_shards = true;
  Execution execution;
  execution.attention = AttentionKernel::unfused;
  execution.dropout = true;
  const Block& block = model.blocks[static_cast<std::size_t>(model.layers[0])];
  const BlockMemory memory = block_memory(local_program(block, strategy), BlockRole::layer, strategy, recompute,
                                          execution, layer.batch * 2048, 2048);
  return memory.kept.value() / 1e9;
}

// Bytes of a token and layer without recompute: 8h + 4ad + 4kd + 6I + 4a (fused norms, gated MLP, flash attention,
// 16 bits).
double modern_bytes(std::int64_t hidden, std::int64_t heads, std::int64_t kv_heads, std::int64_t ffn) {
  TransformerSpec spec;
  spec.layers = 1;
  spec.hidden = hidden;
  spec.heads = heads;
  spec.kv_heads = kv_heads;
  spec.head_dim = hidden / heads;
  spec.ffn = ffn;
  spec.gated = true;
  spec.norm = NormKind::rms_norm;
  spec.position_kind = PositionKind::rotary;
  spec.vocabulary = 128256;
  const Model model = build_transformer(spec);
  Execution execution;
  execution.style = KernelStyle::transformer_engine;
  const Block& block = model.blocks[static_cast<std::size_t>(model.layers[0])];
  return block_memory(local_program(block, {}), BlockRole::layer, {}, Recompute::none, execution, 1, 8192).kept.value();
}

}  // namespace

TEST_CASE("activations of Korthikanti's four models, by kind of parallelism and recompute") {
  for (const GptLayer& layer : table) {
    CAPTURE(layer.name);
    CHECK(kept_gigabytes(layer, 1, false, Recompute::none) == Approx(layer.none).epsilon(0.005));
    CHECK(kept_gigabytes(layer, 8, false, Recompute::none) == Approx(layer.tensor).epsilon(0.005));
    CHECK(kept_gigabytes(layer, 8, true, Recompute::none) == Approx(layer.sequence).epsilon(0.005));
    CHECK(kept_gigabytes(layer, 8, false, Recompute::selective) == Approx(layer.selective).epsilon(0.005));
    CHECK(kept_gigabytes(layer, 8, true, Recompute::selective) == Approx(layer.sequence_selective).epsilon(0.005));
    CHECK(kept_gigabytes(layer, 8, false, Recompute::full) == Approx(layer.full).epsilon(0.005));
  }
}

TEST_CASE("activations of Llama's layers") {
  CHECK(modern_bytes(4096, 32, 8, 14336) == Approx(139392));
  CHECK(modern_bytes(8192, 64, 8, 28672) == Approx(274688));
  CHECK(modern_bytes(16384, 128, 8, 53248) == Approx(520704));
  CHECK(modern_bytes(4096, 32, 32, 11008) == Approx(131712));
}

// In 16-bit logits: the fp32 log-softmax kept (2) and two fp32 gradients (4); the allocator holds the freed logits too.
TEST_CASE("what an eager loss reserves is its logits more than it fills") {
  TransformerSpec spec;
  spec.layers = 1;
  spec.hidden = 64;
  spec.heads = 1;
  spec.vocabulary = 1000;
  const Model model = build_transformer(spec);
  const Block& head = model.blocks[static_cast<std::size_t>(model.head)];
  Execution execution;
  execution.style = KernelStyle::eager;
  Strategy strategy;
  const auto backward_logits = [&](PeakKind peak) {
    strategy.peak = peak;
    const BlockMemory memory =
        block_memory(local_program(head, strategy), BlockRole::head, strategy, Recompute::none, execution, 512, 512);
    const double copy = 2 * 512.0 * 1000;
    CHECK(memory.stranded.value() == (peak == PeakKind::allocated ? 0 : copy));
    return memory.backward_extra.value() / copy;
  };
  CHECK(backward_logits(PeakKind::allocated) == Approx(4));
  CHECK(backward_logits(PeakKind::reserved) == Approx(5));
}
