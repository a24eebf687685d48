#include "strategies/lower.h"

#include "sim/model/transformer.h"
#include "strategies/block_memory.h"
#include "strategies/intra/intra.h"
#include "tests/catch.h"
#include "tests/strategies/lowered.h"

using namespace echelon;

namespace {

// GPT-3 175B as Korthikanti et al. train it (arXiv:2205.05198, table 3).
Model gpt_175b() {
  return build_transformer(testing::gpt_shape(96, 12288, 96, 51200, 2048));
}

Bytes layer_bytes(std::int64_t tensor, bool sequence_parallel, Recompute recompute) {
  const Model model = gpt_175b();
  Strategy strategy;
  strategy.mesh.tensor = tensor;
  strategy.sequence_parallel = sequence_parallel;
  strategy.attention = AttentionKernel::unfused;
  strategy.dropout = true;
  strategy.keeps_input_shards = true;
  Execution execution;
  execution.attention = AttentionKernel::unfused;
  execution.dropout = true;
  const Block& layer = model.blocks[static_cast<std::size_t>(model.layers[0])];
  return block_memory(local_program(layer, strategy), BlockRole::layer, strategy, recompute, execution, 2048, 2048)
      .kept;
}

std::string refusal(const Strategy& strategy, std::int64_t gpus, std::int64_t batch = 64) {
  Workload workload;
  workload.sequence_length = 2048;
  workload.global_batch = batch;
  const auto outcome = lower(gpt_175b(), workload, strategy, {gpus, 8});
  return std::holds_alternative<Infeasible>(outcome) ? std::get<Infeasible>(outcome).reason : "";
}

}  // namespace

TEST_CASE("copies of a pipeline that lie on one node reduce their gradients inside it") {
  Strategy strategy = framework_defaults(FrameworkKind::megatron);
  strategy.mesh.pipeline = 4;
  strategy.mesh.data = 2;
  strategy.schedule = ScheduleKind::chimera;
  strategy.virtual_stages = 2;
  Workload workload;
  workload.sequence_length = 32;
  workload.global_batch = 8 * strategy.micro_batch;
  const auto group_on = [&](std::int64_t gpus_per_node) {
    const Lowering lowering =
        std::get<Lowering>(lower(testing::tiny_gpt(8), workload, strategy, {strategy.mesh.ranks(), gpus_per_node}));
    for (const Work& work : lowering.works)
      if (const auto* chain = std::get_if<CollectiveChain>(&work)) return chain->calls.at(0).group;
    return GroupLayout{};
  };
  // Two data-parallel ranks of two copies each.
  CHECK(group_on(8).ranks == 4);
  CHECK(group_on(8).ranks_per_node == 4);
  // Nodes of two: data ranks are neighbours and share one, copies do not.
  CHECK(group_on(2).ranks == 4);
  CHECK(group_on(2).ranks_per_node == 2);
}

TEST_CASE("activation bytes of a layer are Korthikanti's") {
  // arXiv:2205.05198, table 2, with s = 2048, b = 1, h = 12288, a = 96, t = 8: sbh = 25.17 MB, 5 a s / h = 80.
  const double sbh = 2048.0 * 12288;
  CHECK(layer_bytes(1, false, Recompute::none).value() == Approx(sbh * (34 + 80)).epsilon(0.001));
  CHECK(layer_bytes(8, false, Recompute::none).value() == Approx(sbh * (10 + 24.0 / 8 + 80.0 / 8)).epsilon(0.001));
  CHECK(layer_bytes(8, true, Recompute::none).value() == Approx(sbh / 8 * (34 + 80)).epsilon(0.001));
  CHECK(layer_bytes(8, true, Recompute::selective).value() == Approx(sbh / 8 * 34).epsilon(0.001));
  CHECK(layer_bytes(8, false, Recompute::full).value() == Approx(2 * sbh).epsilon(0.001));
}

TEST_CASE("more tensor ranks than key-value heads share them by gathering queries, keys and values") {
  // Megatron-Core attention.py, get_query_key_value_tensors: the weight of the joint projection stays divided by
  // columns, its output is gathered from all ranks (backward: reduce-scattered), and each rank goes on with its query
  // heads and the one key-value head that they need.
  TransformerSpec spec = testing::gpt_shape(1, 128, 8, 64);
  spec.kv_heads = 2;
  spec.position_kind = PositionKind::rotary;
  const Model model = build_transformer(spec);
  const Block& layer = model.blocks[static_cast<std::size_t>(model.layers[0])];
  struct Found {
    Operator qkv;
    Operator rotary;
    Operator attention;
    std::vector<Communication> communications;
  };
  const auto split = [&](std::int64_t tensor) {
    Strategy strategy;
    strategy.mesh.tensor = tensor;
    Found found;
    for (const Step& step : local_program(layer, strategy).steps) {
      if (const auto* communication = std::get_if<Communication>(&step)) {
        found.communications.push_back(*communication);
        continue;
      }
      const auto& op = std::get<Operator>(step);
      if (op.name == "qkv") found.qkv = op;
      if (op.kind == OperatorKind::rotary) found.rotary = op;
      if (op.kind == OperatorKind::attention) found.attention = op;
    }
    return found;
  };
  // Heads of 16 features: 8 x 16 of queries, 2 x 16 of keys, as many of values = 192 columns.
  const Found two = split(2);
  const Found four = split(4);
  CHECK(two.qkv.out_features == 96);
  CHECK(four.qkv.out_features == 48);
  CHECK(four.qkv.parameters == Approx((128 + 1) * 48));
  CHECK(four.attention.attention.heads == 2);
  CHECK(four.attention.attention.kv_heads == 1);
  CHECK(two.rotary.width == (4 + 1) * 16);
  CHECK(four.rotary.width == (2 + 1) * 16);
  // One collective more than where each rank has heads of its own.
  REQUIRE(four.communications.size() == two.communications.size() + 1);
  const Communication& gather = four.communications[1];
  CHECK(gather.forward == CollectiveKind::all_gather);
  CHECK(gather.backward == CollectiveKind::reduce_scatter);
  CHECK(gather.width == 192);
  CHECK(gather.row_share == 1);
}

TEST_CASE("key-value heads that a framework cannot share are refused") {
  TransformerSpec spec;
  spec.layers = 2;
  spec.hidden = 192;
  spec.heads = 12;
  spec.kv_heads = 4;
  spec.vocabulary = 64;
  const Model model = build_transformer(spec);
  const auto reason = [&](FrameworkKind framework, std::int64_t tensor) {
    Workload workload;
    workload.sequence_length = 64;
    workload.global_batch = 8;
    Strategy strategy = framework_defaults(framework);
    strategy.mesh.tensor = tensor;
    const auto refusal = check_strategy(model, workload, strategy, {tensor, 8});
    return refusal ? refusal->reason : "";
  };
  CHECK(reason(FrameworkKind::megatron, 4).empty());
  CHECK(reason(FrameworkKind::megatron, 12).empty());
  CHECK(reason(FrameworkKind::torchtitan, 4).empty());
  CHECK(reason(FrameworkKind::torchtitan, 12).find("tensor_parallel 4 would do") != std::string::npos);
  CHECK(reason(FrameworkKind::nanotron, 12).find("tensor_parallel 4 would do") != std::string::npos);
  CHECK(reason(FrameworkKind::megatron, 6).find("tensor_parallel 4 would do") != std::string::npos);  // neither way
}

TEST_CASE("modules that the model has not cannot run again") {
  Strategy strategy;
  strategy.recompute = Recompute::operators;
  strategy.recompute_operators.modules = {RecomputeModule::layernorm};
  CHECK(refusal(strategy, 1).empty());
  strategy.recompute_operators.modules.push_back(RecomputeModule::mla_up_proj);
  CHECK(refusal(strategy, 1).find("has a mla_up_proj to run again") != std::string::npos);
}

TEST_CASE("the stages that fetch batches do so once in each forward pass, behind a wait of the host") {
  Workload workload;
  workload.sequence_length = 32;
  workload.global_batch = 6;
  // Forward tasks that fetch on each of three ranks, whose micro-batches are six.
  const auto fetches = [&](BatchFetch stages, ScheduleKind schedule, std::int64_t chunks) {
    Strategy strategy;
    strategy.mesh.pipeline = 3;
    strategy.schedule = schedule;
    strategy.virtual_stages = chunks;
    strategy.batch_fetch = stages;
    const auto lowering = std::get<Lowering>(lower(testing::tiny_gpt(6), workload, strategy, {3, 8}));
    std::vector<int> found;
    for (const Program& program : lowering.graph.programs) {
      int count = 0;
      for (const Task& task : program.tasks) {
        const auto* work = std::get_if<ComputeWork>(&lowering.works[static_cast<std::size_t>(task.work)]);
        const bool fetching = work != nullptr && work->fetches_batch;
        CHECK(task.syncs_host == fetching);
        if (fetching) CHECK(task.kind == TaskKind::forward);
        count += fetching ? 1 : 0;
      }
      found.push_back(count);
    }
    return found;
  };
  CHECK(fetches(BatchFetch::ahead, ScheduleKind::one_f_one_b, 1) == std::vector{0, 0, 0});
  CHECK(fetches(BatchFetch::end_stages, ScheduleKind::one_f_one_b, 1) == std::vector{6, 0, 6});
  CHECK(fetches(BatchFetch::every_stage, ScheduleKind::one_f_one_b, 1) == std::vector{6, 6, 6});
  // Each chunk fetches for itself; in a V both ends lie on the first rank.
  CHECK(fetches(BatchFetch::every_stage, ScheduleKind::interleaved, 2) == std::vector{12, 12, 12});
  CHECK(fetches(BatchFetch::end_stages, ScheduleKind::interleaved, 2) == std::vector{6, 0, 6});
  CHECK(fetches(BatchFetch::end_stages, ScheduleKind::zb_v, 2) == std::vector{12, 0, 0});
}

TEST_CASE("metrics of logits that a fused loss has not are refused") {
  Strategy strategy;
  strategy.metric_losses = 2;
  CHECK(refusal(strategy, 1).empty());
  strategy.fused_loss = true;
  CHECK(refusal(strategy, 1).find("metric_losses 0 would do") != std::string::npos);
}

TEST_CASE("what cannot be is refused with the number that would do") {
  Strategy strategy;
  strategy.mesh.tensor = 8;
  strategy.mesh.pipeline = 8;
  CHECK(refusal(strategy, 64).empty());
  CHECK(refusal(strategy, 128).find("data_parallel 2 would do") != std::string::npos);
  strategy.mesh.tensor = 128;
  CHECK(refusal(strategy, 1024).find("96 would do") != std::string::npos);
  strategy.mesh.tensor = 1;
  strategy.mesh.pipeline = 97;
  CHECK(refusal(strategy, 97).find("96 would do") != std::string::npos);
  strategy.mesh.pipeline = 1;
  strategy.micro_batch = 3;
  CHECK(refusal(strategy, 1).find("2 would do") != std::string::npos);
}

TEST_CASE("FSDP's shard_grad_op gathers for the forward pass alone and divides all state") {
  // PyTorch FSDP documentation, ShardingStrategy.SHARD_GRAD_OP: parameters are unsharded before the forward, stay so
  // until the backward is done, and are sharded outside of computation.
  Workload workload;
  workload.sequence_length = 32;
  workload.global_batch = 4;
  workload.optimizer_variant = OptimizerVariant::pytorch;
  Strategy strategy = framework_defaults(FrameworkKind::fsdp);
  strategy.sharding = Sharding::zero2;
  strategy.mesh.data = 2;
  const auto lowering = std::get<Lowering>(lower(testing::tiny_gpt(3), workload, strategy, {2, 8}));
  // fp32 parameters, gradients and two moments of 4 bytes each, halved.
  const double elements = lowering.parameters[0];
  const auto resident = [&](MemoryCategory category) {
    return lowering.resident[0][static_cast<std::size_t>(category)].value();
  };
  CHECK(resident(MemoryCategory::parameters) == Approx(elements * 4 / 2));
  CHECK(resident(MemoryCategory::gradients) == Approx(elements * 4 / 2));
  CHECK(resident(MemoryCategory::optimizer) == Approx(elements * 8 / 2));
  // Embedding, three layers and head, each gathered once in both micro-batches, and held all at once in bf16.
  const Program& program = lowering.graph.programs[0];
  int gathers = 0;
  bool in_backward = false;
  for (const Task& task : program.tasks) {
    if (task.kind == TaskKind::forward) in_backward = false;
    if (task.kind == TaskKind::backward) in_backward = true;
    if (task.kind != TaskKind::parameter_gather) continue;
    ++gathers;
    if (task.layer > 0) CHECK_FALSE(in_backward);
  }
  CHECK(gathers == 2 * 5);
  double held = 0;
  double most = 0;
  for (const MemoryEffect& effect : program.effects)
    if (effect.category == MemoryCategory::parameters)
      most = std::max(most, held += (effect.at_start + effect.at_end).value());
  CHECK(most == Approx(elements * 2));
  // DeepSpeed's ZeRO-2 keeps parameters whole.
  strategy.zero2_divides_parameters = false;
  const auto whole = std::get<Lowering>(lower(testing::tiny_gpt(3), workload, strategy, {2, 8}));
  CHECK(whole.resident[0][static_cast<std::size_t>(MemoryCategory::parameters)].value() == Approx(elements * 4));
}

TEST_CASE("the last stage's copy of a tied table is a table, and its gradients are reduced with the rest") {
  Workload workload;
  workload.sequence_length = 32;
  workload.global_batch = 8;
  Strategy strategy;
  strategy.mesh.data = 2;
  strategy.mesh.pipeline = 2;
  const Model model = testing::tiny_gpt(4);
  for (const bool overlap : {false, true}) {
    strategy.overlap_gradient_reduce = overlap;
    const auto lowering = std::get<Lowering>(lower(model, workload, strategy, {4, 8}));
    CHECK(lowering.parameters[0] + lowering.parameters[1] == Approx(parameter_count(model) + 128 * 64));
    // fp32 all-reduces: the data-parallel ones of all parameters, and one of the table between the two stages.
    for (std::size_t rank = 0; rank < 2; ++rank) {
      double bytes = 0;
      for (const Task& task : lowering.graph.programs[rank].tasks)
        if (const auto* chain = std::get_if<CollectiveChain>(&lowering.works[static_cast<std::size_t>(task.work)]))
          for (const CollectiveWork& call : chain->calls) bytes += call.bytes.value();
      CHECK(bytes == Approx(4 * (lowering.parameters[rank] + 128 * 64)));
    }
  }
}

TEST_CASE("a pipeline of sharded stages adds up whole gradients until its last micro-batch") {
  // PyTorch FSDP2 with set_requires_gradient_sync(False), as torch.distributed.pipelining calls it until the last
  // backward pass: gradients accumulate unsharded, in the format in which they are reduced.
  Workload workload;
  workload.sequence_length = 32;
  workload.global_batch = 8;
  workload.precision.gradient_reduce = DataType::fp32;
  Strategy strategy = framework_defaults(FrameworkKind::torchtitan);
  strategy.mesh.data = 2;
  strategy.mesh.pipeline = 2;
  const auto lowering = std::get<Lowering>(lower(testing::tiny_gpt(4), workload, strategy, {4, 8}));
  for (std::size_t rank = 0; rank < 2; ++rank) {
    double held = 0;
    double most = 0;
    for (const MemoryEffect& effect : lowering.graph.programs[rank].effects)
      if (effect.category == MemoryCategory::gradients)
        most = std::max(most, held += (effect.at_start + effect.at_end).value());
    CHECK(most == Approx(4 * lowering.parameters[rank]));
    CHECK(held == Approx(0).margin(1e-6));
  }
}

TEST_CASE("model FLOPs are the closed form") {
  // arXiv:2205.05198, appendix A: 72 B L s h^2 (1 + s/6h + V/12hL).
  const Model model = gpt_175b();
  Workload workload;
  workload.sequence_length = 2048;
  workload.global_batch = 64;
  const double h = 12288;
  const double expected = 72 * 64.0 * 96 * 2048 * h * h * (1 + 2048 / (6 * h) + 51200 / (12 * h * 96));
  CHECK(model_flops(model, workload, {}).value() == Approx(expected).epsilon(1e-6));
}

TEST_CASE("without overlap a rank reduces its gradients once, after its last message") {
  Strategy strategy;
  strategy.mesh = {.data = 2, .tensor = 8, .pipeline = 4};
  strategy.micro_batch = 1;
  strategy.overlap_gradient_reduce = false;
  const auto schedule = GENERATE(ScheduleKind::one_f_one_b, ScheduleKind::interleaved);
  strategy.schedule = schedule;
  strategy.virtual_stages = schedule == ScheduleKind::interleaved ? 3 : 1;
  Workload workload;
  workload.sequence_length = 2048;
  workload.global_batch = 16;
  const auto outcome = lower(gpt_175b(), workload, strategy, {64, 8});
  REQUIRE(std::holds_alternative<Lowering>(outcome));
  for (const Program& program : std::get<Lowering>(outcome).graph.programs) {
    std::int64_t reduces = 0;
    for (const Task& task : program.tasks) {
      if (task.kind == TaskKind::gradient_reduce) ++reduces;
      if (task.kind == TaskKind::send_gradient) CHECK(reduces == 0);
    }
    CHECK(reduces >= 1);
    CHECK(reduces <= 2);  // and the tied embedding's
  }
}

TEST_CASE("model FLOPs over printed times give Korthikanti's printed utilisation") {
  // arXiv:2205.05198, table 5: 175B on 64 A100 13.75 s and 51.4 %, 1T on 512 A100 71.49 s and 56.3 %.
  const auto utilisation = [](std::int64_t layers, std::int64_t hidden, std::int64_t heads, std::int64_t gpus,
                              double seconds) {
    Workload workload;
    workload.sequence_length = 2048;
    workload.global_batch = gpus;
    const Model model = build_transformer(testing::gpt_shape(layers, hidden, heads, 51200, 2048));
    return model_flops(model, workload, {}).value() / (seconds * static_cast<double>(gpus) * 312e12);
  };
  CHECK(utilisation(96, 12288, 96, 64, 13.75) == Approx(0.514).margin(0.001));
  CHECK(utilisation(128, 25600, 160, 512, 71.49) == Approx(0.563).margin(0.001));
}

TEST_CASE("a searched schedule may keep a micro-batch at least") {
  Strategy strategy;
  strategy.mesh.pipeline = 4;
  strategy.schedule = ScheduleKind::searched;
  strategy.schedule_activations = 0.5;
  CHECK(refusal(strategy, 4) ==
        "schedule_activations 0.5 is less than the micro-batch that a rank works on; schedule_activations 1 would do");
}

TEST_CASE("slices of a sequence divide its work, its messages and its activations") {
  const auto lowered = [](std::int64_t slices) {
    Strategy strategy;
    strategy.mesh.pipeline = 2;
    strategy.schedule = ScheduleKind::seq1f1b;
    strategy.sequence_slices = slices;
    Workload workload;
    workload.sequence_length = 32;
    workload.global_batch = 4;
    return std::get<Lowering>(lower(testing::tiny_gpt(4), workload, strategy, {2, 8}));
  };
  const auto message = [](const Lowering& lowering) {
    for (const Work& work : lowering.works)
      if (const auto* transfer = std::get_if<TransferWork>(&work)) return transfer->bytes;
    return Bytes(0);
  };
  const auto forward_effect = [](const Lowering& lowering) {
    return lowering.graph.programs[0].effects.front().at_start.value();
  };
  const Lowering whole = lowered(1);
  const Lowering parts = lowered(4);
  CHECK(message(parts).value() == Approx(message(whole).value() / 4));
  CHECK(forward_effect(parts) == Approx(forward_effect(whole) / 4));
  const auto forwards = [](const Lowering& lowering) {
    const auto& tasks = lowering.graph.programs[0].tasks;
    return std::count_if(tasks.begin(), tasks.end(), [](const Task& task) { return task.kind == TaskKind::forward; });
  };
  CHECK(forwards(parts) == 4 * forwards(whole));
}
