// Layers that run again together from one kept input: Megatron-LM's --recompute-method uniform, and the partitions of
// GPipe (arXiv:1811.06965, section 2.3), which keep what crosses their edges alone.
#include "strategies/block_memory.h"
#include "tests/catch.h"
#include "tests/strategies/lowered.h"

using namespace echelon;

namespace {

constexpr std::int64_t layers = 10;

Workload one_micro_batch() {
  Workload workload;
  workload.sequence_length = 32;
  workload.global_batch = 1;
  return workload;
}

Lowering grouped(std::int64_t group, std::int64_t stages = 1, std::int64_t chunks = 1) {
  Strategy strategy = framework_defaults(FrameworkKind::megatron);
  strategy.recompute = Recompute::full;
  strategy.recompute_group = group;
  strategy.mesh.pipeline = stages;
  strategy.virtual_stages = chunks;
  if (chunks > 1) strategy.schedule = ScheduleKind::interleaved;
  Workload workload = one_micro_batch();
  workload.global_batch = stages;
  return std::get<Lowering>(lower(testing::tiny_gpt(layers * stages * chunks), workload, strategy, {stages, 8}));
}

struct Kept {
  double forward;   // from the forward pass on
  double backward;  // more than that while the backward pass runs
};

// Of the first pass of each kind on the rank.
Kept activations(const Lowering& lowering, std::size_t rank = 0) {
  const Program& program = lowering.graph.programs[rank];
  const auto effect = [&](TaskKind kind) -> const MemoryEffect& {
    for (const Task& task : program.tasks)
      if (task.kind == kind) return program.effects[static_cast<std::size_t>(task.effects)];
    FAIL("no such pass");
    return program.effects.front();
  };
  return {effect(TaskKind::forward).at_start.value(), effect(TaskKind::backward).transient.value()};
}

BlockMemory layer_memory(Recompute recompute) {
  const Model model = testing::tiny_gpt(1);
  const Strategy strategy = framework_defaults(FrameworkKind::megatron);
  Execution execution;
  execution.style = strategy.kernels;
  execution.attention = strategy.attention;
  const Block& layer = model.blocks[static_cast<std::size_t>(model.layers[0])];
  return block_memory(local_program(layer, strategy), BlockRole::layer, strategy, recompute, execution, 32, 32);
}

}  // namespace

TEST_CASE("of layers that run again together the first keeps its input, and all are there in the backward pass") {
  const double input = layer_memory(Recompute::full).kept.value();
  const double whole = layer_memory(Recompute::none).kept.value();
  const Kept alone = activations(grouped(1));
  for (const std::int64_t group : {2, 3, 4, 5, 9, 10, 100}) {
    INFO("groups of " << group);
    const Kept kept = activations(grouped(group));
    const std::int64_t groups = (layers + group - 1) / group;
    CHECK(alone.forward - kept.forward == Approx(static_cast<double>(layers - groups) * input));
    CHECK(kept.backward - alone.backward == Approx(static_cast<double>(std::min(group, layers) - 1) * whole));
  }
}

TEST_CASE("groups begin anew with every chunk of a stage") {
  const double input = layer_memory(Recompute::full).kept.value();
  const Kept alone = activations(grouped(1, 2, 3), 1);
  const Kept kept = activations(grouped(4, 2, 3), 1);
  CHECK(alone.forward - kept.forward == Approx((10 - 3) * input));
}

TEST_CASE("layers that run again together compute what they compute alone") {
  const Lowering alone = grouped(1);
  const Lowering together = grouped(4);
  REQUIRE(alone.works.size() == together.works.size());
  for (std::size_t i = 0; i < alone.works.size(); ++i) {
    const auto* one = std::get_if<ComputeWork>(&alone.works[i]);
    const auto* other = std::get_if<ComputeWork>(&together.works[i]);
    REQUIRE((one == nullptr) == (other == nullptr));
    if (one != nullptr) CHECK(one->runs == other->runs);
  }
}

TEST_CASE("parameters that are gathered layer by layer are not there for several that run again together") {
  Strategy strategy = framework_defaults(FrameworkKind::megatron);
  strategy.recompute = Recompute::full;
  strategy.recompute_group = 2;
  strategy.sharding = Sharding::zero3;
  strategy.mesh.data = 2;
  Workload workload = one_micro_batch();
  workload.global_batch = 2;
  const auto outcome = lower(testing::tiny_gpt(layers), workload, strategy, {2, 8});
  REQUIRE(std::holds_alternative<Infeasible>(outcome));
  CHECK(std::get<Infeasible>(outcome).reason ==
        "recompute.group 2 with sharding zero3, which gathers the parameters of one layer at a time; recompute.group 1 "
        "would do");
}
