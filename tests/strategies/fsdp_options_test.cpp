// Options of sharded data parallelism: prefetch, resharding, buckets, accumulation without reduction.
#include "strategies/lower.h"
#include "strategies/state.h"
#include "tests/catch.h"
#include "tests/strategies/lowered.h"

using namespace echelon;

namespace {

constexpr int layers = 4;
constexpr int units = layers + 2;  // and embedding and head

struct Run {
  Strategy strategy = framework_defaults(FrameworkKind::fsdp);
  Workload workload;

  explicit Run(Sharding sharding) {
    strategy.sharding = sharding;
    strategy.mesh.data = 2;
    workload.sequence_length = 32;
    workload.global_batch = 8;  // four micro-batches
  }
  Lowering lowered() const { return std::get<Lowering>(lower(testing::tiny_gpt(layers), workload, strategy, {2, 8})); }
};

int count(const Lowering& lowering, TaskKind kind) {
  int found = 0;
  for (const Task& task : lowering.graph.programs[0].tasks) found += task.kind == kind ? 1 : 0;
  return found;
}

Bytes reduced(const Lowering& lowering) {
  Bytes sum;
  for (const Task& task : lowering.graph.programs[0].tasks)
    if (task.kind == TaskKind::gradient_reduce)
      for (const CollectiveWork& call :
           std::get<CollectiveChain>(lowering.works[static_cast<std::size_t>(task.work)]).calls)
        sum += call.bytes;
  return sum;
}

// The vectors that go in a call each, in elements of two bytes, head first.
std::vector<double> calls(const Lowering& lowering) {
  std::vector<double> elements;
  for (const Task& task : lowering.graph.programs[0].tasks)
    if (task.kind == TaskKind::gradient_reduce)
      for (const CollectiveWork& call :
           std::get<CollectiveChain>(lowering.works[static_cast<std::size_t>(task.work)]).calls)
        elements.push_back(call.bytes.value() / 2);
  return elements;
}

// The most bytes of a category that tasks of the program hold at once, in the order in which they stand.
double most_held(const Lowering& lowering, MemoryCategory category) {
  double held = 0;
  double most = 0;
  for (const MemoryEffect& effect : lowering.graph.programs[0].effects)
    if (effect.category == category) {
      held += (effect.at_start + effect.at_end).value();
      most = std::max(most, held + effect.transient.value());
    }
  return most;
}

}  // namespace

TEST_CASE("backward prefetch asks for parameters before the present layer's gradients, or after") {
  for (const BackwardPrefetch prefetch : {BackwardPrefetch::pre, BackwardPrefetch::post}) {
    Run run(Sharding::zero3);
    run.strategy.backward_prefetch = prefetch;
    const Lowering lowering = run.lowered();
    const Program& program = lowering.graph.programs[0];
    TaskId last_backward = -1;
    int gathers = 0;
    for (std::size_t i = 0; i < program.tasks.size(); ++i) {
      const Task& task = program.tasks[i];
      if (task.kind == TaskKind::backward) last_backward = static_cast<TaskId>(i);
      if (task.kind != TaskKind::parameter_gather || last_backward < 0) continue;
      const Task& before = program.tasks[static_cast<std::size_t>(last_backward)];
      if (before.micro_batch != task.micro_batch) continue;  // of the next forward pass
      bool waits = false;
      const auto end = static_cast<std::size_t>(program.tasks[i + 1].dependences);
      for (auto d = static_cast<std::size_t>(task.dependences); d < end; ++d)
        waits = waits || program.dependences[d].task == last_backward;
      CHECK(waits == (prefetch == BackwardPrefetch::post));
      ++gathers;
    }
    CHECK(gathers == 4 * layers);  // each layer of four micro-batches; the head's parameters are still there
  }
}

TEST_CASE("parameters that stay after the forward pass are gathered once") {
  Run run(Sharding::zero3);
  const Lowering again = run.lowered();
  CHECK(count(again, TaskKind::parameter_gather) == 4 * (units + layers));
  run.strategy.reshard_after_forward = false;
  const Lowering once = run.lowered();
  CHECK(count(once, TaskKind::parameter_gather) == 4 * units);
  CHECK(most_held(once, MemoryCategory::parameters) ==
        Approx(compute_weight(run.workload).value() * once.parameters[0]));
  CHECK(most_held(again, MemoryCategory::parameters) < most_held(once, MemoryCategory::parameters));
}

TEST_CASE("a unit's gathered parameters are there once, however many micro-batches use them") {
  // Four forward passes, then four backward passes. The first finds what the forward passes left, and gives it back.
  Run run(Sharding::zero2);
  run.strategy.schedule = ScheduleKind::gpipe;
  const Lowering kept = run.lowered();
  const double whole = compute_weight(run.workload).value() * kept.parameters[0];
  CHECK(most_held(kept, MemoryCategory::parameters) == Approx(whole));
  CHECK(count(kept, TaskKind::parameter_gather) == units + 3 * units);
  // Layers go after each forward pass, embedding and head stay until the first backward pass.
  run.strategy.sharding = Sharding::zero3;
  const Lowering again = run.lowered();
  CHECK(most_held(again, MemoryCategory::parameters) < whole);
  CHECK(count(again, TaskKind::parameter_gather) == units + 3 * layers + layers + 3 * units);
  for (const Lowering& lowering : {kept, again}) {
    double left = 0;
    for (const MemoryEffect& effect : lowering.graph.programs[0].effects)
      if (effect.category == MemoryCategory::parameters) left += (effect.at_start + effect.at_end).value();
    CHECK(left == Approx(0).margin(1e-6));
  }
}

TEST_CASE("a hybrid's reductions across replicas hold no gathers of shards up") {
  for (const std::int64_t shared : {1, 2, 4}) {
    Run run(Sharding::hybrid);
    run.strategy.mesh.data = 4;
    run.strategy.shard_ranks = shared;
    run.workload.global_batch = 16;
    const auto lowering = std::get<Lowering>(lower(testing::tiny_gpt(layers), run.workload, run.strategy, {4, 2}));
    for (const Task& task : lowering.graph.programs[0].tasks) {
      if (task.kind == TaskKind::gradient_reduce) CHECK(task.stream == Stream::data);
      // Of four ranks that share one copy there is no replica, and the communicator is one.
      if (task.kind == TaskKind::parameter_gather) CHECK(task.stream == (shared == 4 ? Stream::data : Stream::stages));
    }
  }
}

TEST_CASE("stages that are told to give gathered parameters back gather them again") {
  const auto gathers = [](bool reshards) {
    Run run(Sharding::zero3);
    run.strategy.mesh.pipeline = 2;
    run.strategy.reshard_after_forward = reshards;
    const auto lowering = std::get<Lowering>(lower(testing::tiny_gpt(layers), run.workload, run.strategy, {4, 8}));
    for (const Program& program : lowering.graph.programs) {
      double left = 0;
      for (const MemoryEffect& effect : program.effects)
        if (effect.category == MemoryCategory::parameters) left += (effect.at_start + effect.at_end).value();
      CHECK(left == Approx(0).margin(1e-6));
    }
    return count(lowering, TaskKind::parameter_gather);
  };
  // The first stage: two layers and the embedding, four micro-batches, two of them in flight.
  CHECK(gathers(false) == 3);
  // Layers again for the second forward pass and for backward passes behind one; what a backward pass used stays for
  // the forward pass behind it (PyTorch's pipelining, stage.py: set_reshard_after_backward(False)).
  CHECK(gathers(true) == 3 + 2 + 3 * 2);
}

TEST_CASE("parameters gathered by layer have their gradients reduced by layer, beside the backward pass or within it") {
  // DeepSpeed runtime/zero/stage3.py: overlap_comm chooses the stream alone; whole gradients never lie anywhere.
  for (const FrameworkKind framework : {FrameworkKind::fsdp, FrameworkKind::deepspeed, FrameworkKind::megatron}) {
    Run run(Sharding::zero3);
    run.strategy = framework_defaults(framework);
    run.strategy.sharding = Sharding::zero3;
    run.strategy.mesh.data = 2;
    run.strategy.overlap_gradient_reduce = true;
    const Lowering beside = run.lowered();
    run.strategy.overlap_gradient_reduce = false;
    const Lowering within = run.lowered();
    for (const Task& task : within.graph.programs[0].tasks)
      if (task.kind == TaskKind::gradient_reduce) CHECK(task.stream == Stream::compute);
    CHECK(count(within, TaskKind::gradient_reduce) == 4 * units);
    CHECK(reduced(within).value() == Approx(reduced(beside).value()));
    CHECK(most_held(within, MemoryCategory::gradients) == Approx(most_held(beside, MemoryCategory::gradients)));
  }
}

TEST_CASE("buckets say in how many calls gradients go, not how many bytes") {
  Run run(Sharding::zero1);
  run.strategy.reduce_bucket_elements = 1;
  const Lowering many = run.lowered();
  CHECK(count(many, TaskKind::gradient_reduce) == units);  // of the last micro-batch alone
  run.strategy.reduce_bucket_elements = 1e12;
  const Lowering one = run.lowered();
  CHECK(count(one, TaskKind::gradient_reduce) == 1);
  // A bucket of two layers' gradients: the head comes first, then two at a time, and what is left.
  run.strategy.reduce_bucket_elements = 1.5 * 12 * 64 * 64;
  const int some = count(run.lowered(), TaskKind::gradient_reduce);
  CHECK(some > 1);
  CHECK(some < units);
  CHECK(reduced(many).value() == Approx(reduced(one).value()));
}

TEST_CASE("a bucket goes when the tensors in it fill it, one layer after the other") {
  Run run(Sharding::zero1);
  run.workload.precision.gradient_reduce = DataType::bf16;
  run.strategy.reduce_bucket_elements = 3 * 64 * 64;
  const std::vector<double> sent = calls(run.lowered());
  // A layer of width 64 backward: mlp_down and mlp_up are each a bucket; a norm, attention's output and qkv are one,
  // with the norm of mlp_up's input before and that of their own left open for the layer below.
  const double biases_and_norm = 2 * 64;
  REQUIRE(sent.size() > 3 * layers);
  CHECK(sent[1] == Approx(4 * 64 * 64).epsilon(0.05));
  CHECK(sent[2] == Approx(4 * 64 * 64).epsilon(0.05));
  CHECK(sent[3] == Approx(4 * 64 * 64 + 2 * biases_and_norm).epsilon(0.05));
  for (std::size_t i = 0; i + 1 < sent.size(); ++i) CHECK(sent[i] >= run.strategy.reduce_bucket_elements);
}

TEST_CASE("gradients are sent in the format that the precision says") {
  Run run(Sharding::zero1);
  run.workload.precision.gradient_reduce = DataType::fp32;
  const Bytes wide = reduced(run.lowered());
  run.workload.precision.gradient_reduce = DataType::bf16;
  CHECK(reduced(run.lowered()).value() == Approx(wide.value() / 2));
}

TEST_CASE("gradients that add up unsharded are reduced with the last micro-batch, and held whole until then") {
  // torch.distributed.fsdp: no_sync() "will store a full copy of gradients until the first forward-backward pass
  // outside of it".
  for (const bool overlapped : {true, false}) {
    Run run(Sharding::zero3);
    run.strategy.overlap_gradient_reduce = overlapped;
    const Lowering each = run.lowered();
    run.strategy.accumulates_unsharded = true;
    const Lowering last = run.lowered();
    const double whole = element_size(run.workload.precision.gradient_reduce).value() * last.parameters[0];
    CHECK(reduced(each).value() == Approx(4 * reduced(last).value()));
    CHECK(reduced(last).value() == Approx(whole));
    CHECK(most_held(last, MemoryCategory::gradients) == Approx(whole));
    CHECK(most_held(each, MemoryCategory::gradients) < whole);  // layer by layer
    CHECK(count(last, TaskKind::parameter_gather) == count(each, TaskKind::parameter_gather));
  }
  Run run(Sharding::zero1);
  run.strategy.accumulates_unsharded = true;
  const auto refusal = check_strategy(testing::tiny_gpt(layers), run.workload, run.strategy, {2, 8});
  REQUIRE(refusal);
  CHECK(refusal->reason.find("accumulates_unsharded false would do") != std::string::npos);
}
