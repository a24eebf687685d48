// Groups of data-parallel ranks that train apart (local SGD, arXiv:1805.09767; DiLoCo, arXiv:2311.08105).
#include "strategies/mesh.h"
#include "tests/catch.h"
#include "tests/strategies/lowered.h"

using namespace echelon;

namespace {

// Four data-parallel ranks in two groups on nodes of two.
struct Run {
  Strategy strategy;
  Workload workload;
  Placement placement{4, 2};

  Run() {
    strategy.mesh.data = 4;
    strategy.mesh.local_groups = 2;
    strategy.local_steps.every = 100;
    workload.sequence_length = 32;
    workload.global_batch = 8;
    workload.precision.gradient_reduce = DataType::fp32;
  }
  Lowering lowered() const { return std::get<Lowering>(lower(testing::tiny_gpt(2), workload, strategy, placement)); }
  std::string refusal() const {
    const auto refusal = check_strategy(testing::tiny_gpt(2), workload, strategy, placement);
    return refusal ? refusal->reason : "";
  }
};

std::vector<CollectiveWork> calls_of(const Lowering& lowering, Communicator members) {
  std::vector<CollectiveWork> found;
  for (const Task& task : lowering.graph.programs[0].tasks)
    if (const auto* chain = std::get_if<CollectiveChain>(&lowering.works[static_cast<std::size_t>(task.work)]))
      for (const CollectiveWork& call : chain->calls)
        if (call.group.members == members) found.push_back(call);
  return found;
}

double optimizer_bytes(const Lowering& lowering) {
  return lowering.resident[0][static_cast<std::size_t>(MemoryCategory::optimizer)].value();
}

}  // namespace

TEST_CASE("groups reduce gradients apart and parameters together, once a round") {
  Run run;
  const Lowering closing = run.lowered();
  run.strategy.local_steps.between = true;
  const Lowering between = run.lowered();
  for (const Lowering* lowering : {&closing, &between}) {
    const auto inner = calls_of(*lowering, Communicator::data);
    REQUIRE(!inner.empty());
    for (const CollectiveWork& call : inner) {
      CHECK(call.group.ranks == 2);
      CHECK(call.group.ranks_per_node == 2);
    }
  }
  CHECK(calls_of(between, Communicator::outer).empty());
  const auto outer = calls_of(closing, Communicator::outer);
  REQUIRE(outer.size() == 1);
  CHECK(outer[0].kind == CollectiveKind::all_reduce);
  CHECK(outer[0].group.ranks == 2);
  CHECK(outer[0].group.ranks_per_node == 1);
  CHECK(outer[0].bytes.value() == Approx(4 * closing.parameters[0]));
  // Gradients in 16 bits say that deltas are, too.
  run.strategy.local_steps.between = false;
  run.workload.precision.gradient_reduce = DataType::bf16;
  CHECK(calls_of(run.lowered(), Communicator::outer)[0].bytes.value() == Approx(2 * closing.parameters[0]));
}

TEST_CASE("ZeRO inside a group divides what the group sends and keeps for the others") {
  for (const Sharding sharding : {Sharding::none, Sharding::zero1, Sharding::zero2, Sharding::zero3}) {
    Run run;
    run.strategy.sharding = sharding;
    const double share = sharding == Sharding::none ? 1 : 0.5;
    const Lowering nesterov = run.lowered();
    CHECK(calls_of(nesterov, Communicator::outer)[0].bytes.value() == Approx(4 * nesterov.parameters[0] * share));
    run.strategy.local_steps.optimizer = OuterOptimizer::average;
    const Lowering average = run.lowered();
    // fp32 momentum and fp32 parameters of the last synchronisation.
    CHECK(optimizer_bytes(nesterov) - optimizer_bytes(average) == Approx(8 * nesterov.parameters[0] * share));
  }
}

TEST_CASE("ranks of the same place in each group meet") {
  Mesh mesh;
  mesh.tensor = 2;
  mesh.context = 2;
  mesh.data = 4;
  mesh.local_groups = 2;
  // Order tp, cp, ep, dp, pp: rank = tp + 2 cp + 4 dp; data ranks 0 and 1 are a group, 2 and 3 the other.
  using Groups = std::vector<std::vector<std::int64_t>>;
  CHECK(data_with_context_layout(mesh, 8).ranks == 4);
  CHECK(communicator_groups(mesh, {4, 4, Communicator::data}, 0) ==
        Groups{{0, 2, 4, 6}, {8, 10, 12, 14}, {1, 3, 5, 7}, {9, 11, 13, 15}});
  CHECK(communicator_groups(mesh, {2, 1, Communicator::replica}, 0)[0] == std::vector<std::int64_t>{0, 4});
  CHECK(outer_layout(mesh, 8).ranks == 2);
  CHECK(outer_layout(mesh, 8).ranks_per_node == 1);
  CHECK(outer_layout(mesh, 16).ranks_per_node == 2);
  CHECK(communicator_groups(mesh, outer_layout(mesh, 8), 0)[1] == std::vector<std::int64_t>{2, 10});
  mesh.expert = 2;
  CHECK(expert_data_layout(mesh, 8).ranks == 4);
  for (const auto& group : communicator_groups(mesh, {4, 4, Communicator::expert_data}, 0))
    CHECK(group.front() / 8 == group.back() / 8);
}

TEST_CASE("rounds that cannot be are refused with what would do") {
  Run run;
  CHECK(run.refusal().empty());
  run.strategy.mesh.local_groups = 3;
  CHECK(run.refusal() == "local_groups 3 does not divide data_parallel 4; local_groups 2 would do");
  run.strategy.mesh.local_groups = 1;
  CHECK(run.refusal() ==
        "synchronize_every 100 with one group, which meets nobody; synchronize_every 1 or local_groups 4 would do");
  run = Run();
  run.strategy.schedule = ScheduleKind::pipedream;
  CHECK(run.refusal().find("schedule 1f1b would do") != std::string::npos);
  run = Run();
  run.strategy.offload.optimizer = OffloadTarget::host;
  CHECK(run.refusal().find("offload.optimizer none would do") != std::string::npos);
  run = Run();
  run.strategy.mesh.data = 4;
  run.strategy.mesh.context = 2;
  run.placement.gpus = 8;
  run.strategy.mesh.order = {Axis::tensor, Axis::data, Axis::expert, Axis::context, Axis::pipeline};
  CHECK(run.refusal().find("cp outside dp in mesh_order") != std::string::npos);
}
