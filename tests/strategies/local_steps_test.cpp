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
  run.strategy.local_steps.part = RoundPart::nothing;
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
  run.strategy.local_steps.part = RoundPart::all;
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

TEST_CASE("a fragment is every so many layers or a run of them, and all of them are the model") {
  LocalSteps steps;
  steps.fragments = 3;
  const auto fragments = [&] {
    std::vector<std::int64_t> found;
    for (std::int64_t layer = 0; layer < 8; ++layer) found.push_back(fragment_of(steps, layer, 8));
    return found;
  };
  CHECK(fragments() == std::vector<std::int64_t>{0, 1, 2, 0, 1, 2, 0, 1});
  steps.pattern = FragmentPattern::sequential;
  CHECK(fragments() == std::vector<std::int64_t>{0, 0, 0, 1, 1, 1, 2, 2});

  Run run;
  run.strategy.local_steps.fragments = 2;
  const Lowering lowering = run.lowered();
  REQUIRE(lowering.outer_elements.size() == 1);
  const std::vector<double>& sent = lowering.outer_elements[0];
  CHECK(sent[0] + sent[1] == Approx(lowering.parameters[0]));
  // Embedding and positions lie with the first layer, the norm before the tied output layer with the last.
  CHECK(sent[0] - sent[1] == Approx(64 * (128 + 32) - 2 * 64));
}

TEST_CASE("pipeline ranks send those of their layers that are part of a fragment") {
  for (const FragmentPattern pattern : {FragmentPattern::strided, FragmentPattern::sequential}) {
    Run run;
    run.strategy.mesh.pipeline = 2;
    run.placement.gpus = 8;
    run.strategy.local_steps.fragments = 2;
    run.strategy.local_steps.pattern = pattern;
    run.strategy.local_steps.fragment = 1;
    const Lowering lowering = run.lowered();
    // One layer on each rank: the second fragment is the second layer, either way.
    CHECK(lowering.outer_elements[0][1] == 0);
    CHECK(lowering.outer_elements[1][0] == 0);
    CHECK(calls_of(lowering, Communicator::outer).empty());
    CHECK(lowering.outer_elements[1][1] == Approx(lowering.parameters[1]));
  }
}

TEST_CASE("narrow formats are summed apart, wide ones in the ring") {
  Run run;
  struct Row {
    OuterFormat format;
    double size;
    bool apart;
  };
  for (const Row& row :
       {Row{OuterFormat::as_gradients, 4, false}, Row{OuterFormat::fp32, 4, false}, Row{OuterFormat::bf16, 2, false},
        Row{OuterFormat::fp8, 1, true}, Row{OuterFormat::e3m0, 0.5, true}}) {
    run.strategy.local_steps.format = row.format;
    const Lowering lowering = run.lowered();
    const auto calls = calls_of(lowering, Communicator::outer);
    REQUIRE(calls.size() == (row.apart ? 2 : 1));
    CHECK(calls[0].kind == (row.apart ? CollectiveKind::all_to_all : CollectiveKind::all_reduce));
    if (row.apart) CHECK(calls[1].kind == CollectiveKind::all_gather);
    for (const CollectiveWork& call : calls) CHECK(call.bytes.value() == Approx(row.size * lowering.parameters[0]));
  }
}

TEST_CASE("fragments on their way lie in memory, as many as there are at once") {
  LocalSteps steps;
  steps.every = 10;
  steps.fragments = 5;  // after steps 0, 2, 4, 6 and 8
  for (const auto& [delay, most] : {std::pair{0, 0}, {1, 1}, {2, 1}, {3, 2}, {4, 2}, {5, 3}, {9, 5}}) {
    steps.delay = delay;
    INFO(delay);
    CHECK(fragments_in_flight(steps) == most);
  }
  Run run;
  const auto communication = [&] {
    return run.lowered().resident[0][static_cast<std::size_t>(MemoryCategory::communication)].value();
  };
  run.strategy.local_steps.fragments = 2;
  CHECK(communication() == 0);
  run.strategy.local_steps.delay = 1;
  const std::vector<double> sent = run.lowered().outer_elements[0];
  CHECK(communication() == Approx(4 * std::max(sent[0], sent[1])));
  run.strategy.local_steps.delay = 60;  // longer than from one fragment to the next
  CHECK(communication() == Approx(4 * (sent[0] + sent[1])));
  run.strategy.local_steps.format = OuterFormat::e3m0;
  CHECK(communication() == Approx(0.5 * (sent[0] + sent[1])));
}

TEST_CASE("an update is a synchronisation without its exchange") {
  Run run;
  run.strategy.local_steps.part = RoundPart::update;
  const Lowering lowering = run.lowered();
  CHECK(calls_of(lowering, Communicator::outer).empty());
  Bytes moved;
  for (const Work& work : lowering.works)
    if (const auto* chain = std::get_if<CollectiveChain>(&work); chain != nullptr && chain->calls.empty())
      moved += chain->copies.moved;
  // Two fp32 values read for a delta that is written; it is read, momentum and anchor are read and written, the fp32
  // and the bf16 parameter written.
  CHECK(moved.value() == Approx((8 + 4 + 4 + 16 + 4 + 2) * lowering.parameters[0]));
}

TEST_CASE("what the outer optimizer keeps waits on the host and comes up fragment by fragment") {
  Run run;
  run.strategy.local_steps.fragments = 2;
  const Lowering stays = run.lowered();
  run.strategy.offload.outer = OffloadTarget::host;
  const auto copied = [](const Lowering& lowering, CopyDirection direction) {
    Bytes sum;
    for (const Work& work : lowering.works)
      if (const auto* copy = std::get_if<HostCopy>(&work); copy != nullptr && copy->direction == direction)
        sum += copy->bytes;
    return sum.value();
  };
  for (const std::int64_t delay : {0, 1}) {
    run.strategy.local_steps.delay = delay;
    const Lowering lowering = run.lowered();
    const double parameters = lowering.parameters[0];
    const double fragment = lowering.outer_elements[0][0];
    // Momentum and anchor, fp32 each: 8 bytes of all parameters on the host, of one fragment over its link both ways;
    // with a delay the anchor alone once more, for what is sent.
    CHECK(optimizer_bytes(stays) - optimizer_bytes(lowering) == Approx(8 * parameters));
    CHECK(lowering.host_memory[0].value() - stays.host_memory[0].value() == Approx(8 * parameters));
    CHECK(copied(lowering, CopyDirection::from_host) == Approx((delay > 0 ? 12 : 8) * fragment));
    CHECK(copied(lowering, CopyDirection::to_host) == Approx(8 * fragment));
    Bytes held;
    for (const MemoryEffect& effect : lowering.graph.programs[0].effects)
      if (effect.category == MemoryCategory::optimizer) held += effect.at_start + effect.at_end;
    CHECK(held.value() == 0);
  }
  run.strategy.local_steps.part = RoundPart::nothing;
  CHECK(copied(run.lowered(), CopyDirection::from_host) == 0);
  run.strategy.offload.outer = OffloadTarget::nvme;
  CHECK(run.lowered().host_memory[0] == stays.host_memory[0]);
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
  run.strategy.local_steps.every = 1;
  run.strategy.local_steps.fragments = 2;
  CHECK(run.refusal() ==
        "synchronize_fragments 2 with one group, which meets nobody; synchronize_fragments 1 or local_groups 4 would "
        "do");
  run = Run();
  run.strategy.local_steps.fragments = 3;
  CHECK(run.refusal() == "synchronize_fragments 3 of 2 layers; synchronize_fragments 2 would do");
  run.strategy.local_steps.fragments = 2;
  run.strategy.local_steps.every = 1;
  CHECK(run.refusal() == "synchronize_fragments 2 in synchronize_every 1 steps; synchronize_fragments 1 would do");
  run.strategy.local_steps.every = 4;
  run.strategy.local_steps.delay = 4;
  CHECK(run.refusal() ==
        "synchronize_delay 4 with synchronize_every 4, which sends a fragment again before it is back; "
        "synchronize_delay 3 would do");
  run = Run();
  run.strategy.schedule = ScheduleKind::pipedream;
  CHECK(run.refusal().find("schedule 1f1b would do") != std::string::npos);
  run = Run();
  run.strategy.offload.optimizer = OffloadTarget::host;
  CHECK(run.refusal().find("offload.optimizer none would do") != std::string::npos);
  run = Run();
  run.strategy.offload.outer = OffloadTarget::host;
  CHECK(run.refusal().empty());
  run.strategy.local_steps.optimizer = OuterOptimizer::average;
  CHECK(run.refusal() ==
        "offload.outer host with outer_optimizer average, which keeps nothing; offload.outer none would do");
  run.strategy.mesh.local_groups = run.strategy.local_steps.every = 1;
  CHECK(run.refusal() ==
        "offload.outer host with one group, which has no outer optimizer; offload.outer none would do");
  run = Run();
  run.strategy.mesh.data = 4;
  run.strategy.mesh.context = 2;
  run.placement.gpus = 8;
  run.strategy.mesh.order = {Axis::tensor, Axis::data, Axis::expert, Axis::context, Axis::pipeline};
  CHECK(run.refusal().find("cp outside dp in mesh_order") != std::string::npos);
}
