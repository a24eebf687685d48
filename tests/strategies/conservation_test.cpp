// What no strategy can change: the work that a batch takes, the parameters of the model, and that memory taken is given
// back. Checked on random strategies with a fixed seed.
#include <algorithm>
#include <array>

#include "strategies/mesh.h"
#include "strategies/pipeline/schedule.h"
#include "strategies/state.h"
#include "tests/catch.h"
#include "tests/strategies/random_case.h"

using namespace echelon;

namespace {

constexpr int wanted_cases = 400;

// Calls `check` with cases that lower, and their lowering.
template <class Check>
void for_random_lowerings(std::uint64_t seed, const Check& check) {
  testing::CaseSource source(seed);
  for (int found = 0; found < wanted_cases;) {
    const testing::Case one = source.next();
    const auto outcome = lower(one.model, one.workload, one.strategy, one.placement);
    if (!std::holds_alternative<Lowering>(outcome)) continue;
    ++found;
    INFO(describe(one));
    check(one, std::get<Lowering>(outcome));
  }
}

// FLOPs by pass direction: forward, input gradient, weight gradient.
using PassFlops = std::array<double, 3>;

void add(PassFlops& sum, const OperatorFlops& flops, Pass pass, double times) {
  if (pass == Pass::forward) sum[0] += flops.forward.value() * times;
  if (pass == Pass::backward || pass == Pass::input_gradient) sum[1] += flops.backward_input.value() * times;
  if (pass == Pass::backward || pass == Pass::weight_gradient) sum[2] += flops.backward_weight.value() * times;
}

// Of all ranks and micro-batches, without what runs again.
PassFlops lowered_flops(const testing::Case& one, const Lowering& lowering) {
  const Mesh& mesh = one.strategy.mesh;
  const double ranks_of_a_stage = static_cast<double>(mesh.data * mesh.tensor * mesh.context);
  PassFlops sum{};
  for (const Program& program : lowering.graph.programs)
    for (const Task& task : program.tasks) {
      const auto* work = std::get_if<ComputeWork>(&lowering.works[static_cast<std::size_t>(task.work)]);
      if (work == nullptr) continue;
      for (const LayerRun& run : work->runs)
        for (const Step& step : lowering.blocks[static_cast<std::size_t>(run.block)].steps)
          if (const auto* op = std::get_if<Operator>(&step))
            add(sum, executed_flops(*op, lowering.tokens, lowering.sequence, one.strategy.attention), run.pass,
                run.count * ranks_of_a_stage * run.part.share);
    }
  return sum;
}

// Operators that no tensor-parallel rank divides (router, latent down-projections) run tp times, but for sequence
// parallelism, where each rank runs them on its share of the tokens.
double copies_of(const Operator& op, const Strategy& strategy) {
  const bool whole = op.split == TensorSplit::none || op.split == TensorSplit::replicated;
  const double padded = op.routed && strategy.expert_capacity_factor > 0 ? strategy.expert_capacity_factor : 1;
  return padded * (whole && !strategy.sequence_parallel ? static_cast<double>(strategy.mesh.tensor) : 1);
}

PassFlops model_flops_by_pass(const testing::Case& one) {
  const double tokens = static_cast<double>(one.workload.global_batch * one.workload.sequence_length);
  const double sequence = static_cast<double>(one.workload.sequence_length);
  std::vector<std::int32_t> blocks = one.model.layers;
  blocks.push_back(one.model.embedding);
  blocks.push_back(one.model.head);
  PassFlops sum{};
  for (const std::int32_t block : blocks) {
    const OperatorGraph& graph = one.model.blocks[static_cast<std::size_t>(block)].graph;
    for (const auto vertex : boost::make_iterator_range(vertices(graph))) {
      const OperatorFlops flops = executed_flops(graph[vertex], tokens, sequence, one.strategy.attention);
      const double copies = copies_of(graph[vertex], one.strategy);
      add(sum, flops, Pass::forward, copies);
      add(sum, flops, Pass::backward, copies);
    }
  }
  return sum;
}

// Elements of an operator's parameters that tensor parallelism divides: the weights of products and tables and whatever
// lies between column and row splits; norms, routers, position tables and the biases of row splits are whole
// everywhere.
double divided_elements(const Operator& op) {
  switch (op.split) {
    case TensorSplit::none:
    case TensorSplit::replicated:
      return 0;
    case TensorSplit::row:
      return std::min(op.parameters, op.in_features * op.out_features * static_cast<double>(op.experts));
    default:
      return op.parameters;
  }
}

// A searched schedule of several chunks may be a loop or a wave, which only lower() knows.
StageLayout layout_of(const testing::Case& one) {
  return layout_of(one.strategy);
}

// Versions of the weights that rank `rank` keeps.
double weight_versions(const testing::Case& one, std::size_t rank, std::int64_t micro_batches) {
  if (one.strategy.schedule == ScheduleKind::pipedream_2bw) return 2;
  if (one.strategy.schedule != ScheduleKind::pipedream) return 1;
  return static_cast<double>(std::min(micro_batches, one.strategy.mesh.pipeline - static_cast<std::int64_t>(rank)));
}

// Of the model on the ranks of one data-parallel rank.
double model_copies(const testing::Case& one) {
  const bool copies = layout_of(one) == StageLayout::bidirectional;
  return copies ? static_cast<double>(one.strategy.virtual_stages) : 1;
}

// Elements over all ranks: dense ones once for each data and context rank, experts once for each rank of their own
// data-parallel group; a tied table once more for the last stage of a pipeline.
double expected_elements(const testing::Case& one) {
  const Mesh& mesh = one.strategy.mesh;
  const double stage_ranks = static_cast<double>(mesh.data * mesh.context * mesh.tensor);
  const auto of_block = [&](std::int32_t block) {
    double sum = 0;
    const OperatorGraph& graph = one.model.blocks[static_cast<std::size_t>(block)].graph;
    for (const auto vertex : boost::make_iterator_range(vertices(graph))) {
      const Operator& op = graph[vertex];
      const double degree = static_cast<double>(op.routed ? expert_tensor_degree(mesh) : mesh.tensor);
      const double experts = op.routed ? static_cast<double>(mesh.expert) : 1;
      if (const auto grid = tensor_grid(one.strategy)) {  // everything in blocks, once in each layer of the grid
        sum += op.parameters / static_cast<double>(grid->side * grid->side) * stage_ranks;
        continue;
      }
      const double divided = divided_elements(op);
      sum += (divided / degree + op.parameters - divided) / experts * stage_ranks;
    }
    return sum;
  };
  double sum = of_block(one.model.embedding) + of_block(one.model.head);
  const bool ends = one.strategy.vocabulary_parallel == VocabularyParallel::none;
  if (one.model.tied_embeddings && ends && mesh.pipeline > 1 && layout_of(one) == StageLayout::loop)
    sum += static_cast<double>(one.model.vocabulary * one.model.hidden * mesh.data * mesh.context *
                               one.strategy.tensor_depth);
  for (const std::int32_t layer : one.model.layers) sum += of_block(layer);
  return sum * model_copies(one);
}

}  // namespace

TEST_CASE("every split of a model executes the same FLOPs") {
  for_random_lowerings(1, [](const testing::Case& one, const Lowering& lowering) {
    const PassFlops expected = model_flops_by_pass(one);
    const PassFlops executed = lowered_flops(one, lowering);
    for (std::size_t i = 0; i < expected.size(); ++i) CHECK(executed[i] == Approx(expected[i]).epsilon(1e-9));
  });
}

TEST_CASE("parameters of all ranks are the model's times their copies") {
  for_random_lowerings(2, [](const testing::Case& one, const Lowering& lowering) {
    const Mesh& mesh = one.strategy.mesh;
    if (one.strategy.schedule == ScheduleKind::searched && one.model.tied_embeddings) return;
    double held = 0;
    for (const double elements : lowering.parameters)
      held += elements * static_cast<double>(mesh.data * mesh.context * mesh.tensor);
    CHECK(held == Approx(expected_elements(one)).epsilon(1e-9));
    if (mesh.ranks() == 1) CHECK(held == Approx(parameter_count(one.model)).epsilon(1e-9));
  });
}

TEST_CASE("memory that tasks take is given back, and none that is not held") {
  for_random_lowerings(3, [](const testing::Case&, const Lowering& lowering) {
    for (const Program& program : lowering.graph.programs) {
      std::array<double, memory_category_count> held{};
      std::array<double, memory_category_count> most{};
      std::array<double, memory_category_count> least{};
      for (const MemoryEffect& effect : program.effects) {
        const auto category = static_cast<std::size_t>(effect.category);
        CHECK(effect.transient >= Bytes(0));
        held[category] += (effect.at_start + effect.at_end).value();
        most[category] = std::max(most[category], held[category]);
        least[category] = std::min(least[category], held[category]);
      }
      for (std::size_t category = 0; category < memory_category_count; ++category) {
        CHECK(std::abs(held[category]) <= 1e-9 * most[category]);
        CHECK(least[category] >= -1e-9 * most[category]);
      }
    }
  });
}

TEST_CASE("resident state is the stage's, divided as the sharding says") {
  // Of a dense model: parameters, gradients and states lie whole or divided by the ranks of the data and context axes
  // (hybrid: of a shard group); ZeRO's table 1, arXiv:1910.02054.
  struct Divided {
    Sharding sharding;
    bool parameters;
    bool gradients;
    bool optimizer;
  };
  static constexpr Divided table[] = {{Sharding::none, false, false, false},
                                      {Sharding::zero1, false, false, true},
                                      {Sharding::zero2, false, true, true},
                                      {Sharding::zero3, true, true, true},
                                      {Sharding::hybrid, true, true, true}};
  for_random_lowerings(4, [](const testing::Case& one, const Lowering& lowering) {
    if (one.model.experts > 0) return;
    const Strategy& strategy = one.strategy;
    std::int64_t ranks = strategy.mesh.data / strategy.mesh.local_groups * strategy.mesh.context *
                         static_cast<std::int64_t>(model_copies(one));
    if (strategy.sharding == Sharding::hybrid)
      ranks = std::min(ranks, strategy.shard_ranks > 0 ? strategy.shard_ranks : one.placement.gpus_per_node);
    Divided divided = table[static_cast<std::size_t>(strategy.sharding)];
    if (strategy.sharding == Sharding::zero2) divided.parameters = strategy.zero2_divides_parameters;
    StateBytes bytes = state_bytes(one.workload);
    const Offload& offload = strategy.offload;
    const bool host_step = offload.optimizer != OffloadTarget::none;
    const bool leaves_at_once = host_step && strategy.sharding >= Sharding::zero2;  // as soon as they are reduced
    if (host_step) bytes.optimizer = Bytes(0);
    if (leaves_at_once) bytes.gradient = Bytes(0);
    if (offload.parameters != OffloadTarget::none) bytes.weight = Bytes(0);
    const bool outer = strategy.mesh.local_groups > 1 && strategy.local_steps.optimizer == OuterOptimizer::nesterov;
    if (outer) bytes.optimizer += Bytes(8);  // momentum and parameters of the last synchronisation
    const bool buckets = strategy.framework == FrameworkKind::nanotron && strategy.sharding == Sharding::none;
    const bool twice = strategy.framework == FrameworkKind::deepspeed && strategy.sharding <= Sharding::zero1 &&
                       one.workload.precision.gradient == DataType::fp32 &&
                       one.workload.precision.compute != DataType::fp32;  // 16-bit gradients beside their fp32 sums
    if (buckets || twice) bytes.gradient += compute_weight(one.workload);
    for (std::size_t p = 0; p < lowering.resident.size(); ++p) {
      const auto check = [&](MemoryCategory category, Bytes element, bool is_divided) {
        const Bytes whole = element * lowering.parameters[p];
        CHECK(lowering.resident[p][static_cast<std::size_t>(category)].value() ==
              Approx(whole.value() / (is_divided ? static_cast<double>(ranks) : 1)));
      };
      check(MemoryCategory::parameters, bytes.weight * weight_versions(one, p, lowering.micro_batches),
            divided.parameters);
      check(MemoryCategory::gradients, bytes.gradient, divided.gradients);
      check(MemoryCategory::optimizer, bytes.optimizer, divided.optimizer);
    }
  });
}
