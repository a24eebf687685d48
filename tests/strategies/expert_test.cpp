// Where tokens go, by closed forms.
#include <map>
#include <numeric>

#include "sim/model/transformer.h"
#include "strategies/block_memory.h"
#include "strategies/intra/intra.h"
#include "tests/catch.h"
#include "tests/strategies/lowered.h"

using namespace echelon;

namespace {

constexpr double hidden = 128;

// One layer of 8 experts, two for each token.
TransformerSpec shape() {
  TransformerSpec spec = testing::gpt_shape(1, 128, 8, 64);
  spec.mixture = MixtureOfExperts{8, 2, 96};
  return spec;
}

LayerProgram layer(const Strategy& strategy) {
  return testing::local_layer(shape(), strategy);
}

Strategy over(std::int64_t ranks) {
  Strategy strategy;
  strategy.mesh.data = strategy.mesh.expert = ranks;
  return strategy;
}

std::vector<Communication> exchanges_of(const LayerProgram& program) {
  std::vector<Communication> found;
  for (const Step& step : program.steps)
    if (const auto* part = std::get_if<Communication>(&step); part != nullptr && part->axis == Axis::expert)
      found.push_back(*part);
  return found;
}

const Operator& first_routed(const LayerProgram& program) {
  for (const Step& step : program.steps)
    if (const auto* op = std::get_if<Operator>(&step); op != nullptr && op->routed) return *op;
  FAIL("no expert");
  return std::get<Operator>(program.steps.front());
}

}  // namespace

TEST_CASE("every copy of a token goes to its expert and back") {
  const LayerProgram program = layer(over(4));
  const auto exchanges = exchanges_of(program);
  REQUIRE(exchanges.size() == 2);
  for (const Communication& exchange : exchanges) {
    CHECK(exchange.row_share == 2);
    CHECK(exchange.width == hidden);
    CHECK(exchange.hiding == Hiding::none);
  }
  CHECK(first_routed(program).experts == 2);
  CHECK(exchanges_of(layer(over(1))).empty());
}

TEST_CASE("experts with a capacity are padded to it and balanced by it") {
  Strategy strategy = over(4);
  strategy.expert_capacity_factor = 1.25;
  strategy.expert_imbalance = 3;
  const LayerProgram program = layer(strategy);
  CHECK(first_routed(program).row_share == 2.5);
  CHECK(first_routed(program).busiest == 1);
  CHECK(exchanges_of(program)[0].row_share == 2.5);
  CHECK(first_routed(layer([&] {
          strategy.mesh = {};
          return strategy;
        }()))
            .row_share == 2.5);  // one rank pads too
}

TEST_CASE("hosts wait for the tokens of experts to be counted, unless a capacity says how many there are") {
  const auto waits = [](const Strategy& strategy) {
    Workload workload;
    workload.sequence_length = 64;
    workload.global_batch = 4;
    const auto lowering =
        std::get<Lowering>(lower(build_transformer(shape()), workload, strategy, {strategy.mesh.ranks(), 8}));
    std::vector<TaskKind> kinds;
    for (const Task& task : lowering.graph.programs[0].tasks)
      if (task.syncs_host) kinds.push_back(task.kind);
    return kinds;
  };
  Strategy strategy = over(4);
  CHECK(waits(strategy) == std::vector{TaskKind::forward});
  CHECK(waits(over(1)).size() == 4);  // the products' rows are counts, too
  strategy.recompute = Recompute::full;
  CHECK(waits(strategy) == std::vector{TaskKind::forward, TaskKind::backward});
  strategy.recompute = Recompute::operators;
  strategy.recompute_operators = {{}, {RecomputeModule::moe}};
  CHECK(waits(strategy) == std::vector{TaskKind::forward, TaskKind::backward});
  strategy.recompute_operators = {{}, {RecomputeModule::moe_act}};
  CHECK(waits(strategy) == std::vector{TaskKind::forward});
  strategy.recompute = Recompute::full;
  strategy.expert_capacity_factor = 1;
  CHECK(waits(strategy).empty());
  strategy.expert_capacity_factor = 0;
  strategy.cuda_graphs = CudaGraphs::iteration;
  CHECK(waits(strategy).empty());
  strategy.cuda_graphs = CudaGraphs::router;
  CHECK(waits(strategy).size() == 2);
  strategy.overlap_expert = true;  // the other micro-batch's compute is there to run
  CHECK(waits(strategy).empty());
}

TEST_CASE("a capacity drops what comes to an expert beyond it") {
  Strategy strategy = over(4);
  CHECK(kept_copies(strategy, 8) == 1);
  strategy.expert_capacity_factor = 0.1;
  CHECK(kept_copies(strategy, 8) == Approx(0.1));
  CHECK(kept_copies(strategy, 0) == 1);
  strategy.expert_capacity_factor = 1.25;
  CHECK(kept_copies(strategy, 8) == 1);
  // Three of four means on one rank, a third of one on each of the others: 1.25 of the four and the others' one stay.
  strategy.expert_imbalance = 3;
  CHECK(kept_copies(strategy, 8) == Approx((1.25 + 1) / 4));
  strategy.expert_imbalance = 100;  // no rank can have more than all
  CHECK(kept_copies(strategy, 8) == Approx(1.25 / 4));
  strategy.expert_concentration = 1e6;
  CHECK(kept_copies(strategy, 8) == Approx(1));
  double before = 1;
  for (const double concentration : {1.0, 0.1, 0.01}) {
    strategy.expert_concentration = concentration;
    CHECK(kept_copies(strategy, 8) < before);
    before = kept_copies(strategy, 8);
  }
}

TEST_CASE("what is dropped is no work of the model's") {
  const Model model = build_transformer(shape());
  Workload workload;
  workload.global_batch = 4;
  workload.sequence_length = 32;
  const double whole = model_flops(model, workload, {}).value();
  double routed = 0;
  for (const std::int32_t layer : model.layers) {
    const OperatorGraph& graph = model.blocks[static_cast<std::size_t>(layer)].graph;
    for (const auto vertex : boost::make_iterator_range(vertices(graph)))
      if (graph[vertex].routed) routed += 3 * model_forward_flops(graph[vertex], 4 * 32, 32).value();
  }
  CHECK(routed > 0);
  Strategy strategy;
  for (const auto& [capacity, kept] : {std::pair{0.0, 1.0}, {0.25, 0.25}, {1.0, 1.0}, {2.0, 1.0}}) {
    strategy.expert_capacity_factor = capacity;
    CHECK(model_flops(model, workload, strategy).value() == Approx(whole - (1 - kept) * routed));
  }
}

TEST_CASE("without a capacity the busiest rank sets the pace") {
  Strategy strategy = over(4);
  strategy.expert_imbalance = 1.5;
  CHECK(first_routed(layer(strategy)).busiest == 1.5);
  CHECK(exchanges_of(layer(strategy))[0].busiest == 1.5);
  CHECK(first_routed(layer(strategy)).row_share == 2);  // the mean, which FLOPs count
}

TEST_CASE("drawn imbalance is between none and all tokens on one rank, and falls with evenness") {
  Strategy strategy = over(8);
  double before = 8;
  for (const double concentration : {0.01, 1.0, 100.0, 1e6}) {
    strategy.expert_concentration = concentration;
    double mean = 0;
    for (strategy.expert_seed = 0; strategy.expert_seed < 50; ++strategy.expert_seed) {
      const double ratio = expert_imbalance(strategy, 64);
      CHECK(ratio >= 1);
      CHECK(ratio <= 8);
      mean += ratio / 50;
    }
    CHECK(mean < before);
    before = mean;
  }
  CHECK(before == Approx(1).margin(0.01));
  strategy.expert_seed = 7;
  CHECK(expert_imbalance(strategy, 64) == expert_imbalance(strategy, 64));
}

TEST_CASE("a deduplicated dispatch says what a token is sent once to") {
  Strategy strategy = over(8);
  strategy.expert_dispatch = ExpertDispatch::deduplicated;
  strategy.expert_nodes_per_token = 4;
  const auto exchanges = exchanges_of(layer(strategy));
  REQUIRE(exchanges.size() == 4);
  CHECK(exchanges[0].part == GroupPart::across_nodes);
  CHECK(exchanges[0].once.most_places == 4);
  CHECK(exchanges[1].part == GroupPart::inside_node);
  CHECK(exchanges[1].once.most_places == 0);
  for (const Communication& exchange : exchanges) {
    CHECK(exchange.row_share == 2);
    CHECK(exchange.once.copies == 2);
    CHECK(exchange.once.experts == 8);
  }
}

TEST_CASE("copies are sorted by a kernel, by two after an all-to-all, or by the exchange itself") {
  const auto permuter = [](const Strategy& strategy) {
    std::vector<Permuter> found;
    for (const Step& step : layer(strategy).steps)
      if (const Operator* op = std::get_if<Operator>(&step); op != nullptr && op->kind == OperatorKind::permute)
        found.push_back(op->permuter);
    REQUIRE(found.size() == 2);
    CHECK(found[0] == found[1]);
    return found[0];
  };
  CHECK(permuter(over(1)) == Permuter::kernel);
  CHECK(permuter(over(8)) == Permuter::kernel);  // one expert a rank: what arrives is its own
  Strategy strategy = over(4);
  CHECK(permuter(strategy) == Permuter::kernel_and_sort);
  strategy.expert_dispatch = ExpertDispatch::deduplicated;
  CHECK(permuter(strategy) == Permuter::exchange);
}

TEST_CASE("node-limited routing crosses the network once for each node") {
  Strategy strategy = over(8);
  strategy.expert_nodes_per_token = 1;
  const auto exchanges = exchanges_of(layer(strategy));
  REQUIRE(exchanges.size() == 4);
  CHECK(exchanges[0].part == GroupPart::across_nodes);
  CHECK(exchanges[0].row_share == 1);
  CHECK(exchanges[1].part == GroupPart::inside_node);
  CHECK(exchanges[1].row_share == 2);
  CHECK(exchanges[2].part == GroupPart::inside_node);  // back the other way
  CHECK(exchanges[3].part == GroupPart::across_nodes);
  strategy.expert_nodes_per_token = 4;  // no more nodes than experts of a token
  CHECK(exchanges_of(layer(strategy))[0].row_share == 2);
}

TEST_CASE("experts' gradients fill buckets of their own") {
  // Of four data-parallel ranks two share an expert: eight layers with four experts of two matrices on each rank.
  TransformerSpec spec = shape();
  spec.layers = 8;
  Strategy strategy = over(4);
  strategy.mesh.expert = 2;
  strategy.overlap_gradient_reduce = true;
  strategy.reduce_bucket_elements = 1e5;
  Workload workload;
  workload.sequence_length = 64;
  workload.global_batch = 4;
  workload.precision.gradient_reduce = DataType::bf16;
  const auto lowering = std::get<Lowering>(lower(build_transformer(spec), workload, strategy, {4, 8}));
  std::map<Communicator, std::vector<double>> sent;  // elements of each call
  for (const Task& task : lowering.graph.programs[0].tasks)
    if (task.kind == TaskKind::gradient_reduce)
      for (const CollectiveWork& call :
           std::get<CollectiveChain>(lowering.works[static_cast<std::size_t>(task.work)]).calls)
        sent[call.group.members].push_back(call.bytes.value() / 2);
  REQUIRE(sent.size() == 2);
  const auto sum = [](const std::vector<double>& calls) { return std::accumulate(calls.begin(), calls.end(), 0.0); };
  const double routed = 8 * 4 * 2 * hidden * 96;
  CHECK(sum(sent.at(Communicator::expert_data)) == Approx(routed));
  CHECK(sum(sent.at(Communicator::data)) == Approx(lowering.parameters[0] - routed));
  for (const auto& [members, calls] : sent) {
    CHECK(calls.size() > 2);
    for (std::size_t i = 0; i + 1 < calls.size(); ++i) CHECK(calls[i] >= strategy.reduce_bucket_elements);
  }
}

TEST_CASE("a concentration near nothing leaves all tokens to one expert") {
  Strategy strategy = over(8);
  for (const double concentration : {1e-4, 1e-9, 1e-300}) {
    strategy.expert_concentration = concentration;
    for (strategy.expert_seed = 0; strategy.expert_seed < 5; ++strategy.expert_seed) {
      strategy.expert_capacity_factor = 0;
      CHECK(expert_imbalance(strategy, 64) == Approx(8).epsilon(0.05));
      strategy.expert_capacity_factor = 1;  // room for a 64th of them
      CHECK(kept_copies(strategy, 64) == Approx(1.0 / 64).epsilon(0.5));
    }
  }
}

TEST_CASE("the busiest rank has all tokens at most") {
  Strategy strategy = over(4);
  strategy.expert_imbalance = 100;
  CHECK(expert_imbalance(strategy, 8) == 4);
}

TEST_CASE("what comes to the busiest rank is there in memory") {
  // Twice the mean of tokens on a rank, or room for twice the mean that is padded: as many rows.
  const auto memory = [](double imbalance, double capacity, Recompute recompute) {
    Strategy strategy = over(4);
    strategy.expert_imbalance = imbalance;
    strategy.expert_capacity_factor = capacity;
    strategy.recompute_operators = {{OperatorKind::activation}, {}};
    return block_memory(layer(strategy), BlockRole::layer, strategy, recompute, {}, 64, 64);
  };
  for (const Recompute recompute :
       {Recompute::none, Recompute::selective, Recompute::selective_ops, Recompute::full, Recompute::operators}) {
    const BlockMemory uneven = memory(2, 0, recompute);
    const BlockMemory padded = memory(1, 2, recompute);
    CHECK(uneven.kept == padded.kept);
    CHECK(uneven.kept_for_weights == padded.kept_for_weights);
    CHECK(uneven.backward_extra == padded.backward_extra);
    CHECK(uneven.widest == padded.widest);
  }
  CHECK(memory(2, 0, Recompute::none).kept > memory(1, 0, Recompute::none).kept);
}

TEST_CASE("ranks that share an expert gather and scatter among themselves, and send no other's tokens") {
  // Each of t tensor ranks routes its share of the tokens, two copies of each; e ranks share an expert.
  for (const auto& [t, e] : {std::pair{4, 2}, {1, 2}, {2, 4}, {8, 1}, {2, 2}}) {
    Strategy strategy;
    strategy.mesh.tensor = t;
    strategy.mesh.data = 8;
    strategy.mesh.expert = 4;
    strategy.mesh.expert_tensor = e;
    strategy.sequence_parallel = true;
    const LayerProgram program = layer(strategy);
    const double rows = 2.0 / t;  // of the tensor group's tokens
    CHECK(first_routed(program).row_share == Approx(rows * e));
    int shared = 0;
    bool at_experts = false;
    for (const Step& step : program.steps) {
      const auto* part = std::get_if<Communication>(&step);
      if (part == nullptr) continue;
      if (part->axis == Axis::expert) {
        CHECK(part->row_share == Approx(rows));
        at_experts = !at_experts;
      } else if (at_experts) {
        CHECK(part->ranks == (e == t ? 0 : e));  // of all tensor ranks, or of so many neighbours
        CHECK(part->row_share == Approx(rows * e));
        ++shared;
      } else {
        CHECK(part->ranks == 0);
      }
    }
    CHECK(shared == (e > 1 ? 2 : 0));
  }
}
