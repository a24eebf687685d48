#include "sim/model/graph_model.h"

#include "tests/catch.h"

using namespace echelon;

namespace {

GraphOperator convolution(std::int64_t channels, std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
  GraphOperator op;
  op.name = "convolution";
  op.op = GraphOp::convolution;
  op.channels = channels;
  op.kernel = {kernel, kernel};
  op.stride = {stride, stride};
  op.padding = {padding, padding};
  return op;
}

GraphOperator of_kind(GraphOp kind) {
  GraphOperator op;
  op.name = std::string(name_of(kind));
  op.op = kind;
  return op;
}

Shape shape_or_fail(const GraphOperator& op, const std::vector<Shape>& inputs) {
  const auto outcome = output_shape(op, inputs);
  REQUIRE(std::holds_alternative<Shape>(outcome));
  return std::get<Shape>(outcome);
}

std::string misfit(const GraphOperator& op, const std::vector<Shape>& inputs) {
  const auto outcome = output_shape(op, inputs);
  REQUIRE(std::holds_alternative<ShapeMisfit>(outcome));
  return std::get<ShapeMisfit>(outcome).wrong + "; " + std::get<ShapeMisfit>(outcome).right;
}

Operator made_of(const GraphOperator& op, const std::vector<Shape>& inputs) {
  return operator_of(op, inputs, shape_or_fail(op, inputs));
}

GraphBuilder::Tensor added(GraphBuilder& builder, const GraphOperator& op,
                           const std::vector<GraphBuilder::Tensor>& inputs) {
  const auto outcome = builder.add(op, inputs);
  REQUIRE(std::holds_alternative<GraphBuilder::Tensor>(outcome));
  return std::get<GraphBuilder::Tensor>(outcome);
}

double forward_flops(const Operator& op) {
  return executed_flops(op, 1, 1, AttentionKernel::flash).forward.value();
}

}  // namespace

TEST_CASE("a convolution's shape, FLOPs and parameters") {
  // ResNet's first: (224 + 2 * 3 - 7) / 2 + 1 = 112 positions each way; 112^2 * 64 results of 7 * 7 * 3 products.
  const Operator op = made_of(convolution(64, 7, 2, 3), {{3, 224, 224}});
  CHECK(op.row_share == 112.0 * 112);
  CHECK(forward_flops(op) == 2.0 * 112 * 112 * 64 * 147);
  CHECK(op.parameters == 147.0 * 64 + 64);
}

TEST_CASE("groups of a convolution see their own channels alone") {
  GraphOperator depthwise = convolution(32, 3, 1, 1);
  depthwise.groups = 32;
  depthwise.bias = false;
  const Operator op = made_of(depthwise, {{32, 10, 10}});
  CHECK(op.parameters == 9.0 * 32);
  CHECK(forward_flops(op) == 2.0 * 100 * 9 * 32);
}

TEST_CASE("windows that hang over the end count where asked") {
  GraphOperator pool = of_kind(GraphOp::pooling);
  pool.kernel = {3, 3};
  pool.stride = {2, 2};
  CHECK(shape_or_fail(pool, {{8, 112, 112}}) == Shape{8, 55, 55});
  pool.rounds_up = true;
  CHECK(shape_or_fail(pool, {{8, 112, 112}}) == Shape{8, 56, 56});
}

TEST_CASE("an LSTM has four gates over input and state, and runs them at every position") {
  GraphOperator lstm = of_kind(GraphOp::recurrent);
  lstm.features = 1024;
  const Operator op = made_of(lstm, {{50, 512}});
  CHECK(op.parameters == 4.0 * 1024 * (512 + 1024 + 2));
  CHECK(forward_flops(op) == 50 * 2.0 * 4 * 1024 * (512 + 1024));
  lstm.bidirectional = true;
  CHECK(shape_or_fail(lstm, {{50, 512}}) == Shape{50, 2048});
  CHECK(forward_flops(made_of(lstm, {{50, 512}})) == 2 * forward_flops(op));
  lstm.cell = RecurrentCell::gru;
  CHECK(made_of(lstm, {{50, 512}}).parameters == 2 * 3.0 * 1024 * (512 + 1024 + 2));
}

TEST_CASE("attention over another tensor has that one's keys") {
  GraphOperator core = of_kind(GraphOp::attention);
  core.projections = false;
  core.heads = 8;
  // 10 queries of 64 features over 30 keys: two products of 2 * 10 * 30 * 64.
  CHECK(forward_flops(made_of(core, {{10, 64}, {30, 64}})) == 2 * 2.0 * 10 * 30 * 64);
  // Queries, keys and values side by side.
  CHECK(forward_flops(made_of(core, {{10, 192}})) == 2 * 2.0 * 10 * 10 * 64);
}

TEST_CASE("what does not go together is refused with what would") {
  CHECK(misfit(convolution(4, 7, 1, 0), {{3, 5, 5}}) ==
        "a kernel of 7 x 7 does not fit into [3, 5, 5]; expected a smaller kernel or more padding");
  CHECK(misfit(convolution(4, 1, 1, 0), {{16, 8}}) == "convolution reads [16, 8]; expected [channels, height, width]");
  CHECK(misfit(of_kind(GraphOp::dense), {{3, 8, 8}}).find("a reshape would make it so") != std::string::npos);
  CHECK(misfit(of_kind(GraphOp::add), {{3, 8, 8}, {4, 8, 8}}) ==
        "add of [3, 8, 8] and [4, 8, 8]; expected the same shape");
  CHECK(misfit(of_kind(GraphOp::add), {{3}}) == "add of 1 input; expected at least 2");
  CHECK(misfit(of_kind(GraphOp::concat), {{3, 8, 8}, {4, 8, 9}}).find("but for the channels") != std::string::npos);
  GraphOperator attention = of_kind(GraphOp::attention);
  attention.heads = 7;
  CHECK(misfit(attention, {{10, 192}}) == "7 heads of 192 features; expected a divisor");
  GraphOperator groups = convolution(4, 1, 1, 0);
  groups.groups = 3;
  CHECK(misfit(groups, {{6, 8, 8}}) == "3 groups of 6 channels that become 4; expected a divisor of both");
}

TEST_CASE("a tied product needs a table of its shape") {
  GraphBuilder builder;
  const auto input = builder.add_input({16});
  GraphOperator table;
  table.op = GraphOp::embedding;
  table.rows = 100;
  table.features = 8;
  const auto embedded = std::get<GraphBuilder::Tensor>(builder.add(table, {input}));
  GraphOperator logits;
  logits.tied = true;
  logits.features = 99;
  const auto outcome = builder.add(logits, {embedded});
  REQUIRE(std::holds_alternative<ShapeMisfit>(outcome));
  CHECK(std::get<ShapeMisfit>(outcome).right == "expected an embedding of 99 rows of 8 features before it");
  logits.features = 100;
  CHECK(std::holds_alternative<GraphBuilder::Tensor>(builder.add(logits, {embedded})));
}

TEST_CASE("a tensor that several operators keep counts once") {
  // relu keeps its output, which is what the second convolution keeps as its input; the first keeps the model's input.
  GraphBuilder builder;
  const auto input = builder.add_input({3, 8, 8});
  builder.begin_layer("all");
  const auto first = added(builder, convolution(16, 3, 1, 1), {input});
  const auto relu = added(builder, of_kind(GraphOp::elementwise), {first});
  added(builder, convolution(16, 3, 1, 1), {relu});
  const OperatorGraph graph = expand(builder.finish("", ""));
  CHECK(graph[0].tensors->kept == 3.0 * 64);
  CHECK(graph[1].tensors->kept == 0);
  CHECK(graph[2].tensors->kept == 16.0 * 64);
  // The gradient of the model's input interests nobody.
  CHECK(executed_flops(graph[0], 1, 1, AttentionKernel::flash).backward_input == Flops(0));
  CHECK(executed_flops(graph[2], 1, 1, AttentionKernel::flash).backward_input.value() == forward_flops(graph[2]));
}

TEST_CASE("a tensor crosses every boundary up to its last reader") {
  GraphBuilder builder;
  const auto input = builder.add_input({4, 8, 8});
  builder.begin_layer("a");
  const auto a = added(builder, convolution(4, 1, 1, 0), {input});
  builder.begin_layer("b");
  const auto b = added(builder, convolution(2, 1, 1, 0), {a});
  builder.begin_layer("c");
  const auto c = added(builder, convolution(4, 1, 1, 0), {b});
  builder.begin_layer("d");
  added(builder, of_kind(GraphOp::add), {a, c});
  const Model model = builder.finish("", "");
  REQUIRE(model.layers.size() == 4);
  CHECK(handed_on(model, 0) == 4.0 * 64);             // a
  CHECK(handed_on(model, 1) == 4.0 * 64 + 2.0 * 64);  // a and b
  CHECK(handed_on(model, 2) == 4.0 * 64 + 4.0 * 64);  // a and c
  CHECK(handed_on(model, 3) == 0);
  // Full recompute keeps what a layer is the first to read: the input, a, b, and c beside a, which b had read before.
  const auto entry = [&](std::size_t layer) {
    return model.blocks[static_cast<std::size_t>(model.layers[layer])].entry;
  };
  CHECK(entry(0) == 4.0 * 64);
  CHECK(entry(1) == 4.0 * 64);
  CHECK(entry(2) == 2.0 * 64);
  CHECK(entry(3) == 4.0 * 64);
}

TEST_CASE("equal layers share a block") {
  GraphBuilder builder;
  auto last = builder.add_input({4, 8, 8});
  for (int i = 0; i < 5; ++i) {
    builder.begin_layer("layer");
    last = added(builder, convolution(4, 3, 1, 1), {last});
  }
  const Model model = builder.finish("", "");
  CHECK(model.layers.size() == 5);
  CHECK(model.blocks.size() == 2);  // the first has no gradient of its input
  CHECK(parameter_count(model) == 5 * (4.0 * 4 * 9 + 4));
}

TEST_CASE("attention brings its projections") {
  GraphBuilder builder;
  const auto input = builder.add_input({16, 64});
  builder.begin_layer("attention");
  GraphOperator attention = of_kind(GraphOp::attention);
  attention.heads = 4;
  CHECK(builder.shape(added(builder, attention, {input})) == Shape{16, 64});
  const Model model = builder.finish("", "");
  CHECK(num_vertices(model.graph->whole) == 3);
  CHECK(parameter_count(model) == 4 * (64.0 * 64 + 64));
}
