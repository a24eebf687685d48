// What the ranks of a sequence send each other, by closed forms.
#include "sim/model/transformer.h"
#include "strategies/intra/intra.h"
#include "tests/catch.h"
#include "tests/strategies/lowered.h"

using namespace echelon;

namespace {

constexpr double head_dim = 16;

// One layer of 8 heads of 16, 4 of them of keys and values.
LayerProgram layer(const Strategy& strategy) {
  TransformerSpec spec = testing::gpt_shape(1, 128, 8, 64);
  spec.kv_heads = 4;
  spec.position_kind = PositionKind::rotary;
  return testing::local_layer(spec, strategy);
}

Strategy context_of(ContextExchange exchange, std::int64_t ranks) {
  Strategy strategy;
  strategy.mesh.context = ranks;
  strategy.context_exchange = exchange;
  return strategy;
}

const Operator& attention_of(const LayerProgram& program) {
  for (const Step& step : program.steps)
    if (const auto* op = std::get_if<Operator>(&step); op != nullptr && op->kind == OperatorKind::attention) return *op;
  FAIL("no attention");
  return std::get<Operator>(program.steps.front());
}

std::vector<Communication> messages_of(const LayerProgram& program) {
  std::vector<Communication> found;
  for (const Step& step : program.steps)
    if (const auto* part = std::get_if<Communication>(&step); part != nullptr && part->axis == Axis::context)
      found.push_back(*part);
  return found;
}

}  // namespace

TEST_CASE("a ring passes keys and values to all others") {
  const LayerProgram program = layer(context_of(ContextExchange::ring, 4));
  const auto messages = messages_of(program);
  REQUIRE(messages.size() == 1);
  CHECK(messages[0].forward == CollectiveKind::send_receive);
  CHECK(messages[0].width == 4 * 2 * head_dim);
  CHECK(messages[0].repeats == 3);
  CHECK(messages[0].backward_repeats == 6);  // and their gradients
  CHECK(attention_of(program).merged_partials == 3);
  CHECK(attention_of(program).busiest == 1);
}

TEST_CASE("contiguous slices leave the last rank 2 - 1/n of the mean causal work") {
  // Of n slices the last one's queries see n - 1 whole blocks and half of its own; all see n^2 / 2 blocks.
  for (const std::int64_t n : {2, 4, 8})
    for (const auto exchange : {ContextExchange::ring, ContextExchange::all_gather}) {
      Strategy strategy = context_of(exchange, n);
      strategy.context_balanced = false;
      const double ranks = static_cast<double>(n);
      CHECK(attention_of(layer(strategy)).busiest == Approx((ranks - 0.5) / (ranks * ranks / 2 / ranks)));
    }
}

TEST_CASE("gathered keys and values are the whole sequence's") {
  const auto messages = messages_of(layer(context_of(ContextExchange::all_gather, 4)));
  REQUIRE(messages.size() == 1);
  CHECK(messages[0].forward == CollectiveKind::all_gather);
  CHECK(messages[0].backward == CollectiveKind::reduce_scatter);
  CHECK(messages[0].regathers_input);
  CHECK(messages[0].row_share == 4);  // of a rank's tokens
  CHECK(messages[0].width == 4 * 2 * head_dim);
}

TEST_CASE("Ulysses trades heads for sequence and back") {
  // arXiv:2309.14509, section 3.2: queries, keys and values one way, outputs the other; each rank attends with 1/n of
  // the heads over all tokens.
  const LayerProgram program = layer(context_of(ContextExchange::all_to_all, 4));
  const auto messages = messages_of(program);
  REQUIRE(messages.size() == 2);
  CHECK(messages[0].width == (8 + 4 * 2) * head_dim);
  CHECK(messages[1].width == 8 * head_dim);
  for (const Communication& message : messages) CHECK(message.ranks == 4);
  const Operator& attention = attention_of(program);
  CHECK(attention.attention.heads == 2);
  CHECK(attention.attention.kv_heads == 1);
  CHECK(attention.row_share == 4);
  CHECK(attention.merged_partials == 0);
}

TEST_CASE("both at once: heads among neighbours, a ring across them") {
  Strategy strategy = context_of(ContextExchange::all_to_all_ring, 8);
  strategy.context_all_to_all_ranks = 2;
  const LayerProgram program = layer(strategy);
  const auto messages = messages_of(program);
  REQUIRE(messages.size() == 3);
  CHECK(messages[0].ranks == 2);
  CHECK(messages[1].forward == CollectiveKind::send_receive);
  CHECK(messages[1].repeats == 3);               // 8 / 2 ranks a ring
  CHECK(messages[1].row_share == 2);             // of the tokens that two ranks hold together
  CHECK(messages[1].width == 2 * 2 * head_dim);  // half of the heads
  CHECK(attention_of(program).attention.heads == 4);
}
