// What lists of operators that run again need not keep, in a GPT layer of hidden size h on T tokens.
#include "strategies/rerun_memory.h"

#include "sim/model/transformer.h"
#include "strategies/block_memory.h"
#include "strategies/intra/intra.h"
#include "tests/catch.h"
#include "tests/strategies/lowered.h"

using namespace echelon;

namespace {

constexpr double tokens = 32;
constexpr double row = tokens * 64;  // T h of the tiny model

// In 16-bit values of T h.
double dropped(const std::vector<OperatorKind>& kinds) {
  const Model model = testing::tiny_gpt(1);
  const LayerProgram program = local_program(model.blocks[static_cast<std::size_t>(model.layers[0])], {});
  return dropped_bytes(program, {kinds, {}}, {}, tokens, 32).value() / (2 * row);
}

}  // namespace

TEST_CASE("an operator that runs again spares its readers their inputs") {
  CHECK(dropped({}) == 0);
  CHECK(dropped({OperatorKind::norm}) == Approx(1 + 1));    // inputs of the projections behind either norm
  CHECK(dropped({OperatorKind::activation}) == Approx(4));  // of the MLP's second product
  CHECK(dropped({OperatorKind::linear}) == Approx(3 + 4));  // queries, keys and values, and the activation's input
  CHECK(dropped({OperatorKind::attention}) == Approx(0));   // fused attention keeps no scores, and its output stays
  CHECK(dropped({OperatorKind::residual}) == Approx(0));    // nobody kept what it would run on
  CHECK(dropped({OperatorKind::linear, OperatorKind::residual}) == Approx(3 + 4 + 1));  // and the second norm's input
}

TEST_CASE("a list of everything keeps what enters the layer and attention's output") {
  const Model model = testing::tiny_gpt(1);
  const LayerProgram program = local_program(model.blocks[static_cast<std::size_t>(model.layers[0])], {});
  Strategy strategy;
  strategy.recompute_operators.kinds = {OperatorKind::norm, OperatorKind::linear, OperatorKind::attention,
                                        OperatorKind::activation, OperatorKind::residual};
  const auto kept = [&](Recompute recompute) {
    return block_memory(program, BlockRole::layer, strategy, recompute, {}, tokens, 32).kept.value();
  };
  const double row_statistics = 4 * tokens * 4;  // fp32 of each token and head
  CHECK(kept(Recompute::operators) == Approx(2 * row + 2 * row + row_statistics));
  CHECK(kept(Recompute::full) == Approx(2 * row));
  CHECK(kept(Recompute::none) == Approx(2 * row * (1 + 1 + 3 + 1 + 1 + 1 + 4 + 4) + row_statistics));
}

// DeepSeek-V3's attention: 128 heads of 192 query and key features and 128 of values (arXiv:2412.19437, section 4.2).
TEST_CASE("latent up-projections that run again spare attention its queries, keys and values") {
  TransformerSpec spec;
  spec.layers = 1;
  spec.hidden = 7168;
  spec.heads = spec.kv_heads = 128;
  spec.ffn = 18432;
  spec.vocabulary = 1000;
  spec.position_kind = PositionKind::rotary;
  spec.latent = LatentAttention{.q_rank = 1536, .kv_rank = 512, .nope_dim = 128, .rope_dim = 64, .v_dim = 128};
  const Model model = build_transformer(spec);
  const LayerProgram program = local_program(model.blocks[static_cast<std::size_t>(model.layers[0])], {});
  const RerunList list{{}, {RecomputeModule::mla_up_proj}};
  CHECK(dropped_bytes(program, list, {}, tokens, 32).value() == Approx(2 * tokens * 128 * (192 + 192 + 128)));
}

TEST_CASE("a gate that runs again makes its clamped inputs anew") {
  TransformerSpec spec = testing::gpt_shape(1, 64, 4, 128);
  spec.gated = true;
  spec.mixture = MixtureOfExperts{8, 2, 96};
  Execution execution;
  execution.style = KernelStyle::transformer_engine;
  const auto spared = [&](bool clamped) {
    spec.mixture->expert_clamp = clamped;
    return dropped_bytes(testing::local_layer(spec, {}), {{OperatorKind::activation}, {}}, execution, tokens, 32);
  };
  // Gate and values of both experts of each token.
  CHECK((spared(true) - spared(false)).value() == Approx(2 * 2 * 2 * tokens * 96));
}
