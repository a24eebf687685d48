// Tensor parallelism on a grid of ranks against the closed forms of Optimus (arXiv:2104.05343) and Tesseract
// (arXiv:2105.14500).
#include <cmath>

#include "strategies/block_memory.h"
#include "strategies/intra/intra.h"
#include "strategies/lower.h"
#include "tests/catch.h"
#include "tests/strategies/lowered.h"

using namespace echelon;

namespace {

constexpr double hidden = 96;
constexpr double tokens = 4 * 32;

TransformerSpec gpt_shape() {
  return testing::gpt_shape(2, 96, 12, 240, 32);
}

Model gpt() {
  return build_transformer(gpt_shape());
}

Strategy grid(std::int64_t side, std::int64_t depth) {
  Strategy strategy;
  strategy.mesh.tensor = side * side * depth;
  strategy.tensor_mode = depth > 1 ? TensorMode::two_and_a_half_d : TensorMode::two_d;
  strategy.tensor_depth = depth;
  strategy.micro_batch = side * depth;
  return strategy;
}

LayerProgram layer(const Strategy& strategy) {
  return testing::local_layer(gpt_shape(), strategy);
}

std::vector<Communication> turns_of(const LayerProgram& program) {
  std::vector<Communication> found;
  for (const Step& step : program.steps)
    if (const auto* part = std::get_if<Communication>(&step); part != nullptr && part->hiding == Hiding::blocks)
      found.push_back(*part);
  return found;
}

// Elements that one call sends.
double sent(const Communication& communication) {
  return tokens * communication.row_share * communication.width + communication.weight_elements;
}

struct Volume {
  double forward = 0;
  double backward = 0;
};

Volume volume_of(const LayerProgram& program) {
  Volume volume;
  for (const Communication& part : turns_of(program)) {
    if (part.forward) volume.forward += part.repeats * sent(part);
    if (part.backward) volume.backward += part.backward_repeats * sent(part);
  }
  return volume;
}

std::string refusal_of(const Model& model, Strategy strategy, std::int64_t global_batch = 8) {
  Workload workload;
  workload.sequence_length = 32;
  workload.global_batch = global_batch;
  const auto refusal = check_strategy(model, workload, strategy, {strategy.mesh.ranks(), 8});
  return refusal ? refusal->reason : "";
}

}  // namespace

TEST_CASE("a layer in two dimensions sends what Optimus counts") {
  // Table 1: log(p) / (2 sqrt(p)) (7 b s h + 12 h^2) forward, where log(p) / 2 = log(q) stands for the tree of a
  // broadcast; backward three times that with the forward pass run again for its activations, so twice without.
  for (const std::int64_t side : {2, 3, 4, 6}) {
    const Volume volume = volume_of(layer(grid(side, 1)));
    const double expected = (7 * tokens * hidden + 12 * hidden * hidden) / static_cast<double>(side);
    CHECK(volume.forward == Approx(expected));
    CHECK(volume.backward == Approx(2 * expected));
    CHECK(volume.forward + volume.backward ==
          Approx((21 * tokens * hidden + 36 * hidden * hidden) / static_cast<double>(side)));
  }
}

TEST_CASE("layers of a grid divide the tokens that go round, not the weights") {
  for (const std::int64_t side : {2, 4})
    for (const std::int64_t depth : {1, 2, 3}) {
      const Volume volume = volume_of(layer(grid(side, depth)));
      const double expected =
          (7 * tokens * hidden / static_cast<double>(depth) + 12 * hidden * hidden) / static_cast<double>(side);
      CHECK(volume.forward == Approx(expected));
    }
}

TEST_CASE("64 ranks multiply in the 32 transmissions that Tesseract counts") {
  // Section 3.1: 2 p^(2/3) on a cube of ranks, against Cannon's 2 p^(3/2) - 2 p^(1/2) = 1008 (31.5 times as many) and
  // 2.5D's 2 p - 2 p^(1/3) = 120 (3.75 times). Each of the d layers takes q turns of two broadcasts.
  const auto turns = turns_of(layer(grid(4, 4)));
  double transmissions = 0;
  int products = 0;
  for (const Communication& part : turns) {
    if (!part.forward) continue;
    transmissions += part.repeats * 4;
    ++products;
  }
  REQUIRE(products == 2 * 4);  // two broadcasts for each of a layer's four products
  CHECK(transmissions / 4 == Approx(2 * std::pow(64, 2.0 / 3)));
}

TEST_CASE("rows, columns and layers of a grid are as far apart as their ranks are numbered") {
  for (const Communication& part : turns_of(layer(grid(4, 2)))) {
    CHECK(part.ranks == 4);
    CHECK(part.stride == (part.weight_elements > 0 ? 4 : 1));  // weights go down a column, tokens along a row
  }
  // Weights' gradients, biases and norms are summed over the two layers: 12 h^2 + 13 h parameters in 16 blocks.
  double summed = 0;
  const LayerProgram program = layer(grid(4, 2));
  for (const Step& step : program.steps)
    if (const auto* part = std::get_if<Communication>(&step); part != nullptr && part->stride == 16) {
      CHECK(part->ranks == 2);
      CHECK(part->for_weight_gradient);
      CHECK_FALSE(part->forward);
      summed += part->weight_elements;
    }
  CHECK(summed == Approx((12 * hidden * hidden + 13 * hidden) / 16));
}

TEST_CASE("a norm on a grid reduces as many sums as its kind takes") {
  TransformerSpec spec = gpt_shape();
  for (const auto& [kind, sums] : {std::pair{NormKind::layer_norm, 2}, std::pair{NormKind::rms_norm, 1}}) {
    spec.norm = kind;
    const LayerProgram program = testing::local_layer(spec, grid(2, 1));
    int found = 0;
    for (const Step& step : program.steps)
      if (const auto* part = std::get_if<Communication>(&step);
          part != nullptr && part->forward == CollectiveKind::all_reduce) {
        CHECK(part->backward == CollectiveKind::all_reduce);
        CHECK(sent(*part) == tokens / 2 * 2);  // one fp32 of each token of a row of the grid, in 16-bit elements
        ++found;
      }
    CHECK(found == 2 * sums);
  }
}

TEST_CASE("table and logits lie in blocks, and the loss is made along rows") {
  const Model model = gpt();
  const LayerProgram table = local_program(model.blocks[static_cast<std::size_t>(model.embedding)], grid(2, 2));
  const auto& lookup = std::get<Operator>(table.steps.front());
  CHECK(lookup.parameters == Approx(240 * hidden / 4));
  CHECK(lookup.row_share == Approx(0.5));  // all tokens of a layer of the grid
  const auto& found = std::get<Communication>(table.steps[1]);
  CHECK(found.forward == CollectiveKind::reduce_scatter);
  CHECK(found.backward == CollectiveKind::all_gather);
  CHECK(sent(found) == Approx(tokens / 2 * hidden / 2));
  // C = A B^T: logits are reduced along the rows in as many turns as the table's blocks come down the columns.
  const auto turns = turns_of(local_program(model.blocks[static_cast<std::size_t>(model.head)], grid(2, 2)));
  REQUIRE(turns.size() == 4);
  CHECK(turns[0].forward == CollectiveKind::reduce);
  CHECK(turns[0].backward == CollectiveKind::broadcast);
  CHECK(sent(turns[0]) == Approx(tokens / 4 * 240 / 2));
  CHECK(turns[2].forward == CollectiveKind::broadcast);
  CHECK(sent(turns[2]) == Approx(240 * hidden / 4));
}

TEST_CASE("activations on a grid of four times the ranks are a quarter, where one dimension keeps whole inputs") {
  const auto kept = [](const Strategy& strategy) {
    Execution execution;
    return block_memory(layer(strategy), BlockRole::layer, strategy, Recompute::none, execution, tokens, 32).kept;
  };
  const Bytes four = kept(grid(2, 1));
  CHECK(kept(grid(4, 1)).value() == Approx(four.value() / 4));
  CHECK(kept(grid(2, 4)).value() == Approx(four.value() / 4));
  Strategy line;
  line.mesh.tensor = 4;
  CHECK(kept(line) > four);
}

TEST_CASE("a product's turns need two blocks of either factor") {
  const Strategy strategy = grid(2, 1);
  Execution execution;
  const BlockMemory memory =
      block_memory(layer(strategy), BlockRole::layer, strategy, Recompute::none, execution, tokens, 32);
  // The MLP's second product: blocks of T / 2 x 4 h / 2 inputs and 4 h / 2 x h / 2 weights, two each, beside the widest
  // tensor, T / 2 x 4 h / 2, in two bytes.
  const double widest = tokens / 2 * 4 * hidden / 2;
  const double weights = 4 * hidden / 2 * hidden / 2;
  CHECK(memory.forward_extra.value() == Approx(2 * (widest + 2 * (widest + weights))));
}

TEST_CASE("what makes no grid is refused with what would") {
  const Model model = gpt();
  Strategy strategy = grid(2, 1);
  strategy.mesh.tensor = 8;
  CHECK(refusal_of(model, strategy) == "tensor_parallel 8 is no square of ranks; tensor_parallel 4 would do");
  strategy.tensor_mode = TensorMode::two_and_a_half_d;
  strategy.tensor_depth = 2;
  strategy.micro_batch = 4;
  CHECK(refusal_of(model, strategy).empty());
  strategy.mesh.tensor = 50;  // 5 columns and 12 heads
  CHECK(refusal_of(model, strategy).find("a grid of 5 columns, which do not divide the model's 12 heads") !=
        std::string::npos);
  CHECK(refusal_of(model, strategy).find("tensor_parallel 32 would do") != std::string::npos);
  strategy = grid(4, 1);
  strategy.micro_batch = 6;
  CHECK(refusal_of(model, strategy) ==
        "micro_batch 6 is no multiple of the 4 parts that tensor_mode 2d divides it in; micro_batch 8 would do");
  strategy = grid(2, 1);
  strategy.tensor_depth = 2;
  CHECK(refusal_of(model, strategy).find("tensor_depth 1 or tensor_mode 2.5d would do") != std::string::npos);
  strategy = grid(2, 1);
  strategy.sequence_parallel = true;
  CHECK(refusal_of(model, strategy).find("sequence_parallel false would do") != std::string::npos);
  TransformerSpec experts;
  experts.layers = 2;
  experts.hidden = 96;
  experts.heads = 12;
  experts.vocabulary = 240;
  experts.mixture = MixtureOfExperts{8, 2, 96, 0, false, false, false};
  CHECK(refusal_of(build_transformer(experts), grid(2, 1)).find("tensor_mode 1d would do") != std::string::npos);
  // Two micro-batches of four sequences do not come out of six, nor does a smaller one on this grid.
  strategy = grid(2, 2);
  CHECK(refusal_of(model, strategy, 6).find("global_batch 4 would do") != std::string::npos);
}

TEST_CASE("what has no form on a grid is named as users call it") {
  const auto refusal = [](const TransformerSpec& spec) {
    Workload workload;
    workload.sequence_length = 64;
    workload.global_batch = 8;
    const auto refused = check_strategy(build_transformer(spec), workload, grid(2, 1), {4, 8});
    REQUIRE(refused);
    return refused->reason;
  };
  TransformerSpec spec = gpt_shape();
  spec.mixture = MixtureOfExperts{8, 2, 96};
  CHECK(refusal(spec) ==
        "tensor_mode 2d divides the layers of dense transformers, not mixtures of experts; tensor_mode 1d would do");
  spec.mixture.reset();
  spec.latent = LatentAttention{.q_rank = 24, .kv_rank = 16, .nope_dim = 16, .rope_dim = 8, .v_dim = 16};
  CHECK(refusal(spec).find("not multi-head latent attention;") != std::string::npos);
}
