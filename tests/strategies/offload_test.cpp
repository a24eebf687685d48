// What offload leaves on the device, what it moves, and when copies hold compute up.
#include "sim/engine/memory_ledger.h"
#include "sim/engine/replay.h"
#include "tests/catch.h"
#include "tests/strategies/lowered.h"

using namespace echelon;

namespace {

constexpr std::int64_t layers = 8;

Workload small_workload(std::int64_t global_batch) {
  Workload workload;  // 2 bytes of weight and of gradient, 12 of states
  workload.sequence_length = 32;
  workload.global_batch = global_batch;
  workload.precision.gradient = workload.precision.gradient_reduce = DataType::bf16;
  return workload;
}

Strategy strategy_of(Sharding sharding, std::int64_t ranks, const Offload& offload) {
  Strategy strategy = framework_defaults(FrameworkKind::deepspeed);
  strategy.mesh.data = ranks;
  strategy.sharding = sharding;
  strategy.offload = offload;
  return strategy;
}

Lowering lowered(const Strategy& strategy, std::int64_t global_batch) {
  auto outcome = lower(testing::tiny_gpt(layers), small_workload(global_batch), strategy, {strategy.mesh.data, 8});
  REQUIRE(std::holds_alternative<Lowering>(outcome));
  return std::get<Lowering>(std::move(outcome));
}

double resident(const Lowering& lowering) {
  Bytes sum;
  for (const Bytes& bytes : lowering.resident[0]) sum += bytes;
  return sum.value();
}

// Bytes of all copies of one direction in an iteration of one rank.
double copied(const Lowering& lowering, CopyDirection direction) {
  double sum = 0;
  for (const Task& task : lowering.graph.programs[0].tasks)
    if (const auto* copy = std::get_if<HostCopy>(&lowering.works[static_cast<std::size_t>(task.work)]);
        copy != nullptr && copy->direction == direction)
      sum += copy->bytes.value();
  return sum;
}

// Picoseconds of one layer's passes and of every copy; embedding, head, collectives and optimizer take no time.
struct Spans {
  std::int64_t forward = 0;
  std::int64_t backward = 0;
  std::int64_t copy = 0;
};

Timeline replayed(const Lowering& lowering, const Spans& spans) {
  const Model model = testing::tiny_gpt(layers);
  const auto is_layer = [&](std::int32_t block) { return block != model.embedding && block != model.head; };
  std::vector<WorkTime> times;
  for (const Work& work : lowering.works) {
    double span = std::holds_alternative<HostCopy>(work) ? static_cast<double>(spans.copy) : 0;
    if (const auto* compute = std::get_if<ComputeWork>(&work))
      for (const LayerRun& run : compute->runs)
        if (is_layer(run.block))
          span += run.count * static_cast<double>(run.pass == Pass::forward ? spans.forward : spans.backward);
    times.push_back({Time::from_picoseconds(static_cast<std::int64_t>(span)), Time()});
  }
  auto outcome = replay(lowering.graph, times, {1});
  REQUIRE(std::holds_alternative<Timeline>(outcome));
  return std::get<Timeline>(std::move(outcome));
}

Strategy taking_activations(std::int64_t count) {
  return strategy_of(Sharding::none, 1, {OffloadTarget::none, OffloadTarget::none, count});
}

std::string refusal(const Strategy& strategy, const Workload& workload) {
  const auto reason = check_strategy(testing::tiny_gpt(layers), workload, strategy, {strategy.mesh.data, 8});
  return reason ? reason->reason : "";
}

}  // namespace

TEST_CASE("ZeRO-Offload leaves 2 bytes of a parameter on the device") {
  // arXiv:2101.06840, section 3: of 16 bytes the 16-bit weights stay; on the host lie 12 of states and, for the step,
  // gradients in fp32: 16.
  const Offload offload{OffloadTarget::host, OffloadTarget::none, 0};
  for (const std::int64_t ranks : {1, 4}) {
    const Lowering lowering = lowered(strategy_of(Sharding::zero2, ranks, offload), ranks);
    const double elements = lowering.parameters[0];
    CHECK(resident(lowering) == Approx(2 * elements));
    CHECK(lowering.host_memory[0].value() == Approx(16 * elements / static_cast<double>(ranks)));
  }
  // A gradient buffer that adds up over micro-batches stays, here of 2 bytes.
  const Lowering whole = lowered(strategy_of(Sharding::zero1, 4, offload), 4);
  // DeepSpeed's ZeRO-1 accumulates in the buffer alone where it is as narrow as the weights.
  CHECK(resident(whole) == Approx(4 * whole.parameters[0]));
}

TEST_CASE("DeepSpeed's estimators: t5-3b, 2851M parameters on 8 GPUs") {
  // deepspeed.readthedocs.io, memory requirements: GiB on each GPU 5.31 (ZeRO-2, optimizer offloaded) and 0.12 (ZeRO-3,
  // optimizer and parameters), 0.79 (optimizer), of which 4 bytes of the largest layer; on the host 63.74 and 71.71 GiB
  // with a margin of 1.5.
  constexpr double elements = 2851e6;
  constexpr double gib = 1024.0 * 1024 * 1024;
  constexpr double largest_layer = 0.12;
  constexpr double margin = 1.5;
  struct Row {
    Sharding sharding;
    OffloadTarget parameters;
    double device;
    double host;
  };
  for (const Row& row : {Row{Sharding::zero2, OffloadTarget::none, 5.31, 63.74},
                         Row{Sharding::zero3, OffloadTarget::none, 0.79 - largest_layer, 63.74},
                         Row{Sharding::zero3, OffloadTarget::host, 0, 71.71}}) {
    const Lowering lowering = lowered(strategy_of(row.sharding, 8, {OffloadTarget::host, row.parameters, 0}), 8);
    const double scale = elements / lowering.parameters[0] / gib;
    CHECK(resident(lowering) * scale == Approx(row.device).epsilon(0.01));
    CHECK(lowering.host_memory[0].value() * 8 * scale == Approx(row.host / margin).epsilon(0.002));
  }
}

TEST_CASE("on drives lie the states, and gradients wait for them in memory") {
  const Lowering lowering = lowered(strategy_of(Sharding::zero3, 4, {OffloadTarget::nvme, OffloadTarget::nvme, 0}), 4);
  CHECK(lowering.host_memory[0].value() == Approx(4 * lowering.parameters[0] / 4));
  for (const Work& work : lowering.works) {
    const auto* step = std::get_if<OptimizerWork>(&work);
    if (step == nullptr) continue;
    CHECK(step->target == OffloadTarget::nvme);
    CHECK(step->stored_per_element == Bytes(12));
    CHECK(step->moved_per_element == Bytes(4 + 12 * 2 + 2));  // gradient, states twice, the 16-bit weight
  }
}

TEST_CASE("gradients go down in every micro-batch where they do not add up on the device, weights come up once") {
  for (const std::int64_t ranks : {1, 4}) {
    const std::int64_t micro_batches = 3;
    const Offload offload{OffloadTarget::host, OffloadTarget::none, 0};
    const double owned = 2 * lowered(strategy_of(Sharding::none, 1, {}), 1).parameters[0] / static_cast<double>(ranks);
    const Lowering each = lowered(strategy_of(Sharding::zero2, ranks, offload), ranks * micro_batches);
    CHECK(copied(each, CopyDirection::to_host) == Approx(owned * micro_batches));
    CHECK(copied(each, CopyDirection::from_host) == Approx(owned));
    const Lowering once = lowered(strategy_of(Sharding::zero1, ranks, offload), ranks * micro_batches);
    CHECK(copied(once, CopyDirection::to_host) == Approx(owned));
    CHECK(copied(once, CopyDirection::from_host) == Approx(owned));
  }
}

TEST_CASE("gradient copies run beside the backward pass and hold it up only where they are slower") {
  // On one rank, units: head, 8 layers, embedding; each copy takes c, each layer's backward pass b. With c < b the last
  // layer's copy and the embedding's stick out: the copies of layer 1 and of the embedding end c after one another, 2 c
  // after the last layer's pass. Then the step, and weights that take c.
  const Lowering lowering = lowered(strategy_of(Sharding::zero2, 1, {OffloadTarget::host, OffloadTarget::none, 0}), 1);
  CHECK(replayed(lowering, {10, 40, 15}).end == Time::from_picoseconds(layers * (10 + 40) + 3 * 15L));
  // With c > b the copies follow each other without a gap: head's, 8 layers' and embedding's, the first at once.
  CHECK(replayed(lowering, {10, 40, 60}).end == Time::from_picoseconds(layers * 10 + 11 * 60L));
}

TEST_CASE("parameters come up for every pass of every layer, a layer ahead") {
  for (const std::int64_t ranks : {1, 4}) {
    const Strategy strategy = strategy_of(Sharding::zero3, ranks, {OffloadTarget::host, OffloadTarget::host, 0});
    const Lowering lowering = lowered(strategy, ranks);
    // Embedding and head stay from their gather to the end of the backward pass; layers come twice.
    const Model model = testing::tiny_gpt(layers);
    const double all = lowering.parameters[0];
    const Lowering one = lowered(strategy_of(Sharding::none, 1, {}), 1);
    double of_layers = 0;
    for (const Step& step : one.blocks[static_cast<std::size_t>(model.layers[0])].steps)
      if (const auto* op = std::get_if<Operator>(&step)) of_layers += op->parameters * layers;
    CHECK(copied(lowering, CopyDirection::from_host) == Approx(2 * (all + of_layers) / static_cast<double>(ranks)));
    CHECK(resident(lowering) == 0);
    // Copies of 15 hide behind passes of 40: only the embedding's and the first layer's wait for nobody before them. At
    // the end the gradients of the last layer and of the embedding stick out.
    const Time exposed = replayed(lowering, {40, 40, 15}).end - Time::from_picoseconds(layers * 80);
    CHECK(exposed >= Time::from_picoseconds(2 * 15L));
    CHECK(exposed <= Time::from_picoseconds(5 * 15L));
  }
}

TEST_CASE("what sticks out of the copies of activations is what compute does not cover") {
  // N of L layers. While copies (c) are shorter than forward passes (f), all hides. Else layer i + 2 waits for the copy
  // of layer i, and each of N - 2 layers adds c - f. The way up hides behind the backward passes of the layers above,
  // here long enough.
  constexpr std::int64_t taken = 6;
  const Lowering lowering = lowered(taking_activations(taken), 1);
  const auto end = [&](std::int64_t copy) { return replayed(lowering, {10, 40, copy}).end.picoseconds(); };
  CHECK(end(10) == layers * 50);
  CHECK(end(15) == layers * 50 + (taken - 2) * (15 - 10));
  CHECK(end(25) == layers * 50 + (taken - 2) * (25 - 10));
}

TEST_CASE("offloaded activations leave room for all but two layers on their way") {
  constexpr std::int64_t taken = 6;
  const auto peak = [](const Lowering& lowering, std::int64_t copy) {
    const Timeline timeline = replayed(lowering, {10, 40, copy});
    const MemoryPeak at = memory_peak(lowering.graph.programs[0], timeline.tasks[0], lowering.resident[0]);
    return at.by_category[static_cast<std::size_t>(MemoryCategory::activations)].value();
  };
  const Lowering kept = lowered(taking_activations(0), 1);
  const Lowering lowering = lowered(taking_activations(taken), 1);
  const Bytes layer = lowering.host_memory[0] / static_cast<double>(taken);
  CHECK(layer > Bytes(0));
  for (const std::int64_t copy : {1, 15, 100}) {
    const double saved = peak(kept, copy) - peak(lowering, copy);
    CHECK(saved <= taken * layer.value());
    CHECK(saved >= (taken - 2) * layer.value() * (1 - 1e-9));
  }
}

TEST_CASE("offload that cannot be says what would do") {
  const Workload workload = small_workload(4);
  const Offload shards{OffloadTarget::none, OffloadTarget::host, 0};
  CHECK(refusal(strategy_of(Sharding::zero3, 4, shards), workload).empty());
  CHECK(refusal(strategy_of(Sharding::zero2, 4, shards), workload).find("sharding zero3 would do") !=
        std::string::npos);
  CHECK(refusal(taking_activations(layers + 1), workload).find("offload.activation_layers 8 would do") !=
        std::string::npos);
  Workload pytorch = workload;
  pytorch.optimizer_variant = OptimizerVariant::pytorch;
  CHECK(refusal(strategy_of(Sharding::zero3, 4, shards), pytorch).find("offload.optimizer host would do") !=
        std::string::npos);
}
