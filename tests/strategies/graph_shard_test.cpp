// Operators of a graph divided over a tensor group.
#include <optional>

#include "sim/model/graph_model.h"
#include "strategies/intra/intra.h"
#include "strategies/lower.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

GraphOperator dense(std::int64_t features, std::optional<Shard> shard) {
  GraphOperator op;
  op.name = "dense";
  op.features = features;
  op.bias = false;
  op.shard = shard;
  return op;
}

GraphOperator convolution(std::optional<Shard> shard) {
  GraphOperator op;
  op.name = "convolution";
  op.op = GraphOp::convolution;
  op.channels = 8;
  op.kernel = {3, 3};
  op.padding = {1, 1};
  op.bias = false;
  op.shard = shard;
  return op;
}

// A chain of these operators, one layer.
Model chain(const Shape& input, const std::vector<GraphOperator>& ops) {
  GraphBuilder builder;
  auto last = builder.add_input(input);
  builder.begin_layer("layer");
  for (const GraphOperator& op : ops) {
    const auto outcome = builder.add(op, {last});
    if (const auto* misfit = std::get_if<ShapeMisfit>(&outcome)) FAIL(misfit->wrong);
    last = std::get<GraphBuilder::Tensor>(outcome);
  }
  return builder.finish("chain", "");
}

Strategy over(std::int64_t ranks) {
  Strategy strategy;
  strategy.framework = FrameworkKind::fsdp;
  strategy.mesh.tensor = ranks;
  strategy.micro_batch = 8;
  return strategy;
}

std::vector<Step> steps_of(const Model& model, std::int64_t ranks) {
  return local_program(model.blocks[0], over(ranks)).steps;
}

double forward_flops(const Operator& op) {
  return executed_flops(op, 8, 1, AttentionKernel::flash).forward.value();
}

std::string refusal(const Model& model, const Strategy& strategy) {
  Workload workload;
  workload.sequence_length = 1;
  workload.global_batch = 8;
  const auto reason = check_strategy(model, workload, strategy, {strategy.mesh.ranks(), 8});
  return reason ? reason->reason : "";
}

}  // namespace

TEST_CASE("output features divided: the input is gathered, its gradient summed and scattered") {
  // Samples divided, then 16 features of 64 each: 32 elements of a sample are gathered.
  const auto steps = steps_of(chain({64}, {dense(32, std::nullopt), dense(16, Shard::parameter)}), 4);
  REQUIRE(steps.size() == 4);
  const auto& first = std::get<Operator>(steps[0]);
  CHECK(first.row_share == 0.25);
  CHECK(first.parameters == 64 * 32);
  // Ranks saw other samples: 64 * 32 gradients are summed up; 8 samples of a micro-batch times row_share are one.
  const auto& sum = std::get<Communication>(steps[1]);
  CHECK(sum.backward == CollectiveKind::all_reduce);
  CHECK_FALSE(sum.forward.has_value());
  CHECK(8 * sum.row_share * sum.width == 64 * 32);
  const auto& gather = std::get<Communication>(steps[2]);
  CHECK(gather.forward == CollectiveKind::all_gather);
  CHECK(gather.backward == CollectiveKind::reduce_scatter);
  CHECK(gather.width == 32);
  const auto& second = std::get<Operator>(steps[3]);
  CHECK(second.out_features == 4);
  CHECK(second.parameters == 32 * 4);
  CHECK(second.tensors->kept == 32);  // the gathered input, whole
}

TEST_CASE("a product divided by output and one by input features need nothing between them") {
  const Model model = chain({64}, {dense(32, Shard::parameter), dense(16, Shard::reduction), dense(8, std::nullopt)});
  const auto steps = steps_of(model, 4);
  // Megatron's pair (arXiv:1909.08053, section 3), whose partial sums of 16 features are scattered over the samples.
  REQUIRE(steps.size() == 5);
  CHECK(std::get<Operator>(steps[0]).out_features == 8);
  CHECK(std::get<Operator>(steps[1]).in_features == 8);
  const auto& scatter = std::get<Communication>(steps[2]);
  CHECK(scatter.forward == CollectiveKind::reduce_scatter);
  CHECK(scatter.backward == CollectiveKind::all_gather);
  CHECK(scatter.width == 16);
}

TEST_CASE("a cut across the height trades the rows that windows reach over") {
  const auto steps = steps_of(chain({8, 16, 16}, {convolution(Shard::attribute), convolution(Shard::attribute)}), 4);
  const auto& halo = std::get<Communication>(steps[0]);
  CHECK(halo.forward == CollectiveKind::send_receive);
  CHECK(halo.width == 2 * 16 * 8);  // two rows of 16 positions and 8 channels
  const auto& op = std::get<Operator>(steps[1]);
  CHECK(op.row_share == 64);
  CHECK(op.parameters == 9 * 8 * 8);
}

TEST_CASE("another layout than the producer's is an all-to-all") {
  const auto steps = steps_of(chain({8, 16, 16}, {convolution(std::nullopt), convolution(Shard::attribute)}), 4);
  const auto& exchange = std::get<Communication>(steps[2]);
  CHECK(exchange.forward == CollectiveKind::all_to_all);
  CHECK(exchange.width == 8 * 16 * 16 / 4.0);  // of one rank
}

TEST_CASE("ranks do the work of the whole between them, however it is divided") {
  for (const auto& shard : enum_names<Shard>) {
    CAPTURE(shard.name);
    const Model model = chain({8, 16, 16}, {convolution(shard.value)});
    double sum = 0;
    for (const Step& step : steps_of(model, 4))
      if (const auto* op = std::get_if<Operator>(&step)) sum += 4 * forward_flops(*op);
    CHECK(sum == Approx(forward_flops(model.graph->whole[0])));
  }
}

TEST_CASE("divisions that do not work out are refused with what would do") {
  const Model model = chain({64}, {dense(30, Shard::parameter)});
  CHECK(refusal(model, over(4)) ==
        "tensor_parallel 4 does not divide dense's 30 by parameter; tensor_parallel 3 would do");
  const Model even = chain({64}, {dense(32, Shard::parameter)});
  CHECK(refusal(even, over(4)).empty());
  Strategy strategy = over(4);
  strategy.micro_batch = 2;
  CHECK(refusal(even, strategy).find("micro_batch 4 would do") != std::string::npos);
  strategy = over(4);
  strategy.recompute = Recompute::full;
  CHECK(refusal(even, strategy).find("recompute none would do") != std::string::npos);
  CHECK(refusal(chain({64}, {dense(32, std::nullopt)}), over(4)).find("tensor_parallel 1 would do") !=
        std::string::npos);
}

TEST_CASE("operators say how they can be divided") {
  GraphOperator lstm;
  lstm.op = GraphOp::recurrent;
  lstm.features = 8;
  lstm.shard = Shard::parameter;
  const auto outcome = divided_size(lstm, {{10, 4}}, {10, 8});
  REQUIRE(std::holds_alternative<ShapeMisfit>(outcome));
  CHECK(std::get<ShapeMisfit>(outcome).wrong == "recurrent of [10, 8] divided by parameter");
  CHECK(std::get<ShapeMisfit>(outcome).right == "expected one of: sample");
}
