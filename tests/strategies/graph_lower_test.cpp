// Graphs of operators under data and pipeline parallelism.
#include "sim/model/graph_model.h"
#include "tests/catch.h"
#include "tests/strategies/lowered.h"

using namespace echelon;

namespace {

// `layers` equal convolutions of 4 channels on 8 x 8 positions, the last of which also reads the first's output.
Model chain_with_skip(int layers) {
  GraphBuilder builder;
  GraphOperator convolution;
  convolution.op = GraphOp::convolution;
  convolution.channels = 4;
  auto last = builder.add_input({4, 8, 8});
  GraphBuilder::Tensor first = last;
  for (int i = 0; i < layers; ++i) {
    builder.begin_layer("layer");
    last = std::get<GraphBuilder::Tensor>(builder.add(convolution, {last}));
    if (i == 0) first = last;
  }
  GraphOperator add;
  add.op = GraphOp::add;
  builder.begin_layer("sum");
  builder.add(add, {first, last});
  return builder.finish("chain", "");
}

Strategy pipelined(std::int64_t data, std::int64_t pipeline) {
  Strategy strategy;
  strategy.framework = FrameworkKind::fsdp;
  strategy.mesh.data = data;
  strategy.mesh.pipeline = pipeline;
  strategy.micro_batch = 2;
  return strategy;
}

Workload samples(std::int64_t count) {
  Workload workload;
  workload.sequence_length = 1;
  workload.global_batch = count;
  return workload;
}

Lowering lowered(const Model& model, const Strategy& strategy, std::int64_t batch) {
  auto outcome = lower(model, samples(batch), strategy, {strategy.mesh.ranks(), 8});
  if (const auto* refusal = std::get_if<Infeasible>(&outcome)) FAIL(refusal->reason);
  return std::get<Lowering>(std::move(outcome));
}

std::string refusal(const Model& model, const Strategy& strategy) {
  const auto reason = check_strategy(model, samples(16), strategy, {strategy.mesh.ranks(), 8});
  return reason ? reason->reason : "";
}

}  // namespace

TEST_CASE("stages of a graph hold its parameters between them, none twice") {
  const Model model = chain_with_skip(7);
  for (const std::int64_t stages : {1, 2, 4, 8}) {
    const Lowering lowering = lowered(model, pipelined(1, stages), 16);
    double sum = 0;
    for (const double elements : lowering.parameters) sum += elements;
    CHECK(sum == parameter_count(model));
  }
}

TEST_CASE("a stage sends on all that is alive at its end") {
  // Three stages of 3, 3 and 2 layers or so: each cut has the chain's tensor and the first layer's output, 4 * 64
  // elements each, of two samples in two bytes.
  const Lowering lowering = lowered(chain_with_skip(8), pipelined(1, 3), 12);
  int transfers = 0;
  for (const Work& work : lowering.works)
    if (const auto* transfer = std::get_if<TransferWork>(&work)) {
      ++transfers;
      CHECK(transfer->bytes == Bytes(2 * 2.0 * (4 * 64 + 4 * 64)));
    }
  CHECK(transfers == 1);  // alike for both cuts and directions
}

TEST_CASE("a graph's sharded state is what data parallelism makes of its parameters") {
  const Model model = chain_with_skip(8);
  Strategy strategy = pipelined(4, 1);
  const auto gradients = [&](Sharding sharding) {
    strategy.sharding = sharding;
    return lowered(model, strategy, 16).resident[0];
  };
  const auto optimizer = static_cast<std::size_t>(MemoryCategory::optimizer);
  CHECK(gradients(Sharding::zero1)[optimizer] == gradients(Sharding::none)[optimizer] * 0.25);
  const auto parameters = static_cast<std::size_t>(MemoryCategory::parameters);
  CHECK(gradients(Sharding::zero3)[parameters] == gradients(Sharding::none)[parameters] * 0.25);
}

TEST_CASE("full recompute keeps what layers read and runs them again") {
  const Model model = chain_with_skip(8);
  Strategy strategy = pipelined(1, 1);
  strategy.recompute = Recompute::full;
  const Lowering lowering = lowered(model, strategy, 2);
  // The first layer keeps the input, each further one its predecessor's output: eight tensors of 4 * 64 elements; and
  // the sum the last one's. Two samples, two bytes.
  for (const Task& task : lowering.graph.programs[0].tasks) {
    if (task.kind != TaskKind::forward) continue;
    const MemoryEffect& effect = lowering.graph.programs[0].effects[static_cast<std::size_t>(task.effects)];
    CHECK(effect.at_start == Bytes(2 * 2.0 * 9 * 4 * 64));
  }
}

TEST_CASE("what does not divide a graph is refused with what would do") {
  const Model model = chain_with_skip(3);
  Strategy strategy = pipelined(1, 1);
  strategy.mesh.tensor = 2;
  CHECK(refusal(model, strategy) ==
        "tensor_parallel 2 for a graph of operators, which is not divided inside; tensor_parallel 1 would do");
  strategy = pipelined(1, 1);
  strategy.mesh.context = 2;
  CHECK(refusal(model, strategy).find("context_parallel 1 would do") != std::string::npos);
  strategy = pipelined(2, 1);
  strategy.mesh.expert = 2;
  CHECK(refusal(model, strategy).find("expert_parallel 1 would do") != std::string::npos);
  CHECK(refusal(model, pipelined(1, 5)) ==
        "pipeline_parallel 5 x virtual_stages 1 = 5 stages, more than the model's 4 layers; pipeline_parallel 4 would "
        "do");
  strategy = pipelined(1, 1);
  strategy.recompute = Recompute::selective_ops;
  CHECK(refusal(model, strategy).find("recompute none or full would do") != std::string::npos);
  strategy = pipelined(1, 2);
  strategy.stage_layers = {0, 4};
  CHECK(refusal(model, strategy).find("stage_layers balanced would do") != std::string::npos);
}

namespace {

// Layers: a table of 100 rows, `before` and `after` dense layers of 8 features around logits that use the table.
Model tied(int before, int after) {
  GraphBuilder builder;
  const auto input = builder.add_input({16});
  GraphOperator table;
  table.op = GraphOp::embedding;
  table.name = "words";
  table.rows = 100;
  table.features = 8;
  builder.begin_layer("table");
  auto last = std::get<GraphBuilder::Tensor>(builder.add(table, {input}));
  GraphOperator dense;
  dense.features = 8;
  const auto add_layers = [&](int count) {
    for (int i = 0; i < count; ++i) {
      builder.begin_layer("dense");
      last = std::get<GraphBuilder::Tensor>(builder.add(dense, {last}));
    }
  };
  add_layers(before);
  GraphOperator logits;
  logits.name = "logits";
  logits.features = 100;
  logits.tied = true;
  builder.begin_layer("logits");
  last = std::get<GraphBuilder::Tensor>(builder.add(logits, {last}));
  add_layers(after);
  return builder.finish("", "");
}

}  // namespace

TEST_CASE("first and last stage hold copies of a table that they share, and add up their gradients") {
  const Model model = tied(2, 0);
  CHECK(parameter_count(model) == 100 * 8 + 2 * (8 * 8 + 8) + 100);
  const auto exchanges = [](const Lowering& lowering) {
    int count = 0;
    for (const Work& work : lowering.works)
      if (const auto* chain = std::get_if<CollectiveChain>(&work))
        for (const CollectiveWork& call : chain->calls) count += call.group.members == Communicator::tied_ends;
    return count;
  };
  const Lowering two = lowered(model, pipelined(1, 2), 16);
  CHECK(two.parameters[0] == 800 + 72);
  CHECK(two.parameters[1] == 72 + 800 + 100);
  CHECK(exchanges(two) == 1);
  CHECK(lowered(model, pipelined(1, 1), 16).parameters[0] == parameter_count(model));
  // Both ends lie on the first rank of a V.
  Strategy wave = pipelined(1, 2);
  wave.schedule = ScheduleKind::zb_v;
  wave.virtual_stages = 2;
  const Lowering folded = lowered(model, wave, 16);
  CHECK(folded.parameters[0] == 800 + 100);
  CHECK(exchanges(folded) == 0);
}

TEST_CASE("a table that stages in the middle would share is refused by its two operators") {
  const Model model = tied(2, 1);
  Strategy strategy = pipelined(1, 3);
  strategy.stage_layers = {2, 2, 1};
  CHECK(refusal(model, strategy).find("'logits' on stage 1 uses the table of 'words' on stage 0") == 0);
  strategy.stage_layers = {1, 1, 3};
  CHECK(refusal(model, strategy).empty());
  strategy.mesh.pipeline = 2;
  strategy.stage_layers = {4, 1};
  CHECK(refusal(model, strategy).empty());
  CHECK(lowered(model, strategy, 16).parameters[0] == 800 + 2 * 72 + 100);
}
