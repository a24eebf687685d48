#include "sim/app/truth_scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "sim/app/truth_recipes.h"
#include "sim/app/truth_words.h"
#include "strategies/pipeline/schedule.h"
#include "strategies/placement/stages.h"

namespace echelon {

namespace {

using Refusal = std::optional<Infeasible>;

// What is known of the row so far; the steps below fill it in order.
struct Translation {
  const TruthRow& row;
  const TruthLibrary& library;
  TruthScenario out;
  const SourceConvention* convention = nullptr;

  Scenario& scenario() { return out.scenario; }
  Strategy& strategy() { return out.scenario.strategy; }
  void assume(std::string text) { out.assumptions.push_back(std::move(text)); }
};

// Moves a meaning into `to`; a refusal comes back, a blank column leaves `to` as it is.
template <class T>
Refusal take(const Meaning<T>& meaning, std::optional<T>& to) {
  if (const auto* refusal = std::get_if<Infeasible>(&meaning)) return *refusal;
  if (const T* value = std::get_if<T>(&meaning)) to = *value;
  return std::nullopt;
}

Refusal refuse_what_is_no_iteration(Translation& t) {
  const std::string text = lower_case(t.row.model + " " + t.row.notes);
  struct Rule {
    std::string_view words;
    std::string_view reason;
  };
  constexpr std::string_view adapters = "LoRA trains adapters on frozen weights, which is not simulated";
  static constexpr auto rules = std::to_array<Rule>({
      {"not an iteration", "the measured time is no iteration's: forward and backward of one layer"},
      {"single transformer layer", "the measured time is no iteration's: forward and backward of one layer"},
      {"lora performance", adapters},
      {"finetuning lora", adapters},
      {"with lora", adapters},
      {"qlora", adapters},
      {"printed dp*tp*pp*cp != #gpus", "the source's degrees contradict its number of GPUs"},
  });
  for (const Rule& rule : rules)
    if (text.find(rule.words) != std::string::npos) return Infeasible{std::string(rule.reason)};
  return std::nullopt;
}

Refusal find_source(Translation& t) {
  t.convention = &convention_of(t.row, t.out.assumptions);
  t.strategy() = conventional_strategy(*t.convention);
  t.out.first_stage_peak = t.convention->first_stage_peak;
  apply_notes(t.row, t.strategy(), t.out.assumptions);
  apply_large_scale_recipe(t.row, t.strategy(), t.out.assumptions);
  return std::nullopt;
}

Refusal find_profile(Translation& t) {
  auto found = profile_of(t.row, t.library.profiles, t.out.assumptions);
  if (const auto* refusal = std::get_if<Infeasible>(&found)) return *refusal;
  t.out.profile = std::get<const Profile*>(found);
  t.scenario().profile = *t.out.profile;
  const std::int64_t width = t.out.profile->network.gpus_per_node;
  if (t.row.gpus_per_node && *t.row.gpus_per_node != width)
    t.assume(fmt::format("{} GPUs a node as in profile {}, not {}", width, t.out.profile->name, *t.row.gpus_per_node));
  return std::nullopt;
}

// Degrees of tensor and pipeline parallelism: blank is 1 for frameworks that shard, and unknown for Megatron's.
Refusal set_degree(const std::optional<std::int64_t>& column, std::string_view name, bool defaults_to_one,
                   std::int64_t& degree) {
  if (!column && !defaults_to_one) return Infeasible{fmt::format("{} is not stated", name)};
  degree = column.value_or(1);
  return std::nullopt;
}

Refusal set_mesh(Translation& t) {
  Mesh& mesh = t.strategy().mesh;
  const bool shards =
      t.convention->framework == FrameworkKind::fsdp || t.convention->framework == FrameworkKind::torchtitan;
  if (auto refusal = set_degree(t.row.tp, "tp", shards, mesh.tensor)) return refusal;
  if (auto refusal = set_degree(t.row.pp, "pp", shards, mesh.pipeline)) return refusal;
  mesh.context = t.row.cp.value_or(1);
  mesh.expert = t.row.ep.value_or(1);
  mesh.expert_tensor = t.row.etp.value_or(0);
  apply_recipe(t.row, t.scenario(), t.out.assumptions);
  const std::int64_t others = mesh.tensor * mesh.pipeline * mesh.context;
  if (!t.row.gpus && !t.row.dp) return Infeasible{"neither gpus nor dp is stated"};
  mesh.data = t.row.dp.value_or(t.row.gpus.value_or(0) / others);
  t.scenario().gpus = t.row.gpus.value_or(mesh.data * others);
  if (mesh.data * others != t.scenario().gpus)
    return Infeasible{fmt::format("dp {} x tp {} x pp {} x cp {} = {} is not {} GPUs", mesh.data, mesh.tensor,
                                  mesh.pipeline, mesh.context, mesh.data * others, t.scenario().gpus)};
  return std::nullopt;
}

// What the row notes of TORCH_DISTRIBUTED_DEBUG=DETAIL; where it notes nothing, most of its source's runs.
Refusal set_checks(Translation& t) {
  bool& checks = t.strategy().checks_collectives;
  const bool over_nodes = t.scenario().gpus > t.scenario().profile.network.gpus_per_node;
  if (mentions(t.row.notes, "collectives checked")) {
    checks = true;
  } else if (t.convention->checked_pipelines && t.strategy().mesh.pipeline > 1 && over_nodes &&
             !mentions(t.row.notes, "collectives not checked")) {
    checks = true;
    t.assume("runs with stages over nodes had PyTorch check their collectives (TORCH_DISTRIBUTED_DEBUG=DETAIL)");
  }
  return std::nullopt;
}

// An interleaved schedule whose number of chunks is not stated: one layer a chunk (the zero-bubble fork's
// --num-layers-per-virtual-pipeline-stage 1), or the most that the layers allow evenly, embedding and head each
// counting as a layer where that makes them even.
std::int64_t most_chunks(std::int64_t layers, std::int64_t stages) {
  for (std::int64_t chunks = layers / stages; chunks > 1; --chunks)
    if (layers % (stages * chunks) == 0 || (layers + 2) % (stages * chunks) == 0) return chunks;
  return 1;
}

Refusal set_schedule(Translation& t) {
  Strategy& strategy = t.strategy();
  std::optional<ScheduleWords> words;
  if (auto refusal = take(parse_schedule(t.row.schedule), words)) return refusal;
  if (words) strategy.schedule = words->kind;
  if (words) strategy.balances_stages = words->redistributes_layers;
  if (words) strategy.vocabulary_parallel = words->vocabulary;
  if (words && !words->approximation.empty()) t.assume(std::string(words->approximation));
  strategy.virtual_stages = t.row.vpp.value_or(1);
  const bool chunks_wanted = strategy.schedule == ScheduleKind::interleaved && strategy.mesh.pipeline > 1;
  if (chunks_wanted && !t.row.vpp) {
    const auto layers = static_cast<std::int64_t>(t.scenario().model.layers.size());
    strategy.virtual_stages = most_chunks(layers, strategy.mesh.pipeline);
    if (strategy.virtual_stages == 1)
      return Infeasible{fmt::format("vpp is not stated, and {} layers make no even chunks on {} stages", layers,
                                    strategy.mesh.pipeline)};
    t.assume(fmt::format("vpp is not stated: {} chunks a stage", strategy.virtual_stages));
  }
  if (strategy.mesh.pipeline == 1) strategy.virtual_stages = 1;
  strategy.virtual_stages = std::max(strategy.virtual_stages, schedule_row(strategy.schedule).least_chunks);
  const bool plain = !words || words->kind == ScheduleKind::one_f_one_b || words->kind == ScheduleKind::interleaved;
  if (plain) strategy.schedule = strategy.virtual_stages > 1 ? ScheduleKind::interleaved : ScheduleKind::one_f_one_b;
  // Streams wait for messages there, where Megatron's host does (megatron/core/pipeline_parallel/zb_schedules.py,
  // schedule_f and fused_pipeline_ops), and its script checks the optimizer's steps afterwards
  // (examples/pretrain_zero_bubble.sh); a row says where it does not.
  if (!plain && t.convention->zero_bubble_runtime) {
    strategy.synchronous_pipeline = false;
    strategy.optimizer_post_validation = !mentions(t.row.schedule, "sync optimizer");
  }
  return std::nullopt;
}

// Megatron lays layers that stages do not divide by a list of its own for each model (its pipeline layout).
Refusal set_placement(Translation& t) {
  Strategy& strategy = t.strategy();
  const auto layers = static_cast<std::int64_t>(t.scenario().model.layers.size());
  if (!stage_refusal(layers, strategy) || stage_count(strategy) > layers) return std::nullopt;
  strategy.balances_stages = true;
  t.assume(
      fmt::format("{} layers do not divide over {} stages: laid by predicted time", layers, stage_count(strategy)));
  return std::nullopt;
}

Refusal set_sharding(Translation& t) {
  Strategy& strategy = t.strategy();
  std::optional<ShardingWords> words;
  if (auto refusal = take(parse_sharding(t.row.zero_or_fsdp), words)) return refusal;
  if (!words) return std::nullopt;
  strategy.sharding = words->sharding;
  if (words->overlap_gradient_reduce) strategy.overlap_gradient_reduce = *words->overlap_gradient_reduce;
  if (words->overlap_parameter_gather) strategy.overlap_parameter_gather = *words->overlap_parameter_gather;
  const bool gathers = strategy.sharding == Sharding::zero3 || strategy.sharding == Sharding::hybrid;
  if (gathers) strategy.overlap_parameter_gather = strategy.overlap_gradient_reduce = true;
  return std::nullopt;
}

Refusal set_recompute(Translation& t) {
  Strategy& strategy = t.strategy();
  std::optional<Recompute> recompute;
  if (auto refusal = take(parse_recompute(t.row.recompute), recompute)) return refusal;
  if (!recompute) {
    if (apply_memory_recipe(t.row, strategy, t.out.assumptions)) return std::nullopt;
    strategy.recompute_least = t.convention->recompute_least;
    t.assume(fmt::format("recompute is not stated: {}",
                         strategy.recompute_least ? "the least that fits" : name_of(strategy.recompute)));
    return std::nullopt;
  }
  const bool selective = recompute == Recompute::selective && t.convention->selective;
  strategy.recompute = selective ? *t.convention->selective : *recompute;
  return std::nullopt;
}

Refusal set_sequence_parallel(Translation& t) {
  Strategy& strategy = t.strategy();
  std::optional<bool> wanted;
  if (auto refusal = take(parse_switch(t.row.seq_parallel), wanted)) return refusal;
  const bool noted = mentions(t.row.notes, "tp+sp");
  if (wanted && !(noted && !*wanted)) strategy.sequence_parallel = *wanted;
  if (!wanted && strategy.mesh.tensor > 1)
    t.assume(fmt::format("seq_parallel is not stated: {}", strategy.sequence_parallel ? "on" : "off"));
  if (strategy.mesh.tensor == 1) strategy.sequence_parallel = strategy.overlap_tensor = false;
  return std::nullopt;
}

Refusal set_model(Translation& t) {
  auto shape = shape_of(t.row, *t.convention, t.library.shapes, t.out.assumptions);
  if (auto* refusal = std::get_if<Infeasible>(&shape)) return *refusal;
  t.scenario().model = build_transformer(std::get<TransformerSpec>(shape));
  return std::nullopt;
}

// The micro-batch, where the row leaves one choice.
Refusal set_micro_batch(Translation& t, std::int64_t rank_batch) {
  if (t.row.micro_batch) {
    t.strategy().micro_batch = *t.row.micro_batch;
    return std::nullopt;
  }
  if (rank_batch != 1)
    return Infeasible{fmt::format("micro_batch is not stated, and a rank's {} sequences leave a choice", rank_batch)};
  t.assume("micro_batch is not stated: 1, the only one that a rank's single sequence allows");
  t.strategy().micro_batch = 1;
  return std::nullopt;
}

// The largest micro-batch of at most `wanted` that divides the rank's batch: a trainer whose last micro-batch is
// smaller runs about as many.
std::int64_t dividing_micro_batch(std::int64_t rank_batch, std::int64_t wanted) {
  const std::int64_t count = (rank_batch + wanted - 1) / wanted;
  for (std::int64_t more = count; more <= rank_batch; ++more)
    if (rank_batch % more == 0) return rank_batch / more;
  return 1;
}

Refusal set_batch(Translation& t) {
  if (!t.row.global_batch) return Infeasible{"global_batch is not stated"};
  const std::int64_t ranks = t.strategy().mesh.data;
  std::int64_t batch = *t.row.global_batch;
  constexpr std::int64_t closest = 100;  // a batch within 1 % of a whole share for each rank is taken as that
  if (batch % ranks != 0) {
    const std::int64_t whole = std::max<std::int64_t>(1, (batch + ranks / 2) / ranks) * ranks;
    if (std::llabs(whole - batch) * closest > batch)
      return Infeasible{fmt::format("global_batch {} does not divide over dp {}; {} would", batch, ranks, whole)};
    t.assume(fmt::format("global_batch {} does not divide over dp {}: {} taken", batch, ranks, whole));
    batch = whole;
  }
  const std::int64_t rank_batch = batch / ranks;
  if (auto refusal = set_micro_batch(t, rank_batch)) return refusal;
  std::int64_t& micro_batch = t.strategy().micro_batch;
  if (rank_batch % micro_batch != 0) {
    const std::int64_t even = dividing_micro_batch(rank_batch, micro_batch);
    t.assume(
        fmt::format("micro_batch {} does not divide a rank's {} sequences: {} taken", micro_batch, rank_batch, even));
    micro_batch = even;
  }
  t.scenario().workload.global_batch = batch;
  return std::nullopt;
}

// fp8 blocks and MX formats: MX units where the device has them, else fp8 with a scale for each block.
void set_matrix_format(const PrecisionWords& words, const SourceConvention& convention, const Device& device,
                       Precision& precision) {
  if (!words.matrix) return;
  precision.matrix = *words.matrix;
  precision.fp8_rowwise_scaling = words.rowwise_scaling;
  precision.fp8_parameter_gather = words.fp8_parameter_gather;
  precision.fp8_activation_gather = convention.fp8_activation_gather && !words.rowwise_scaling;
  if (words.microscaled && device.peak_of(DataType::mxfp8).value() <= 0) {
    precision.matrix = DataType::fp8;
    precision.fp8_rowwise_scaling = true;
  }
}

// Accumulation and reduction of gradients: the row, then the source, then Megatron's default (the format of the
// parameters for fp16, fp32 for bf16: arguments.py, accumulate_allreduce_grads_in_fp32).
void set_gradient_formats(const PrecisionWords& words, const SourceConvention& convention, Precision& precision) {
  const DataType usual = precision.compute == DataType::fp16 ? DataType::fp16 : DataType::fp32;
  const DataType own = convention.gradient.value_or(usual);
  precision.gradient = words.gradient.value_or(own);
  precision.gradient_reduce = words.gradient_reduce.value_or(convention.gradient_reduce.value_or(precision.gradient));
  if (convention.optimizer == OptimizerVariant::pytorch) precision.gradient = DataType::fp32;  // shards stay fp32
}

PrecisionWords native_precision(const Device& device) {
  PrecisionWords words;
  words.compute = device.peak_of(DataType::bf16).value() > 0 ? DataType::bf16 : DataType::fp16;
  return words;
}

Refusal set_workload(Translation& t) {
  Workload& workload = t.scenario().workload;
  if (!t.row.seq_len) return Infeasible{"seq_len is not stated"};
  workload.sequence_length = *t.row.seq_len;
  workload.optimizer = OptimizerKind::adam;
  workload.optimizer_variant = t.convention->optimizer.value_or(OptimizerVariant::megatron);
  const auto meaning = parse_precision(t.row.precision);
  if (const auto* refusal = std::get_if<Infeasible>(&meaning)) return *refusal;
  const Device& device = t.scenario().profile.device;
  const auto* stated = std::get_if<PrecisionWords>(&meaning);
  const PrecisionWords words = stated != nullptr ? *stated : native_precision(device);
  if (stated == nullptr) t.assume(fmt::format("precision is not stated: {}", name_of(words.compute)));
  workload.precision.compute = workload.precision.matrix = words.compute;
  set_matrix_format(words, *t.convention, device, workload.precision);
  set_gradient_formats(words, *t.convention, workload.precision);
  if (device.peak_of(workload.precision.matrix).value() <= 0)
    return Infeasible{fmt::format("{} has no {} units", device.name, name_of(workload.precision.matrix))};
  return std::nullopt;
}

Refusal set_identity(Translation& t) {
  Scenario& scenario = t.scenario();
  scenario.file = t.row.file;
  scenario.name = t.row.id;
  scenario.source = t.row.source + ", " + t.row.url_or_path;
  scenario.measured.iteration_time_s = measured_iteration_time(t.row);
  scenario.measured.peak_memory_gib = t.row.peak_mem_gib;
  return std::nullopt;
}

constexpr auto steps = std::to_array<Refusal (*)(Translation&)>({
    refuse_what_is_no_iteration,
    find_source,
    find_profile,
    set_mesh,
    set_checks,
    set_model,
    set_schedule,
    set_placement,
    set_sharding,
    set_recompute,
    set_sequence_parallel,
    set_batch,
    set_workload,
    set_identity,
});

}  // namespace

std::variant<TruthScenario, Infeasible> scenario_from_truth(const TruthRow& row, const TruthLibrary& library) {
  Translation translation{row, library, {}, nullptr};
  for (const auto step : steps)
    if (auto refusal = step(translation)) return *refusal;
  return std::move(translation.out);
}

std::optional<double> measured_iteration_time(const TruthRow& row) {
  if (row.iter_time_s && *row.iter_time_s > 0) return row.iter_time_s;
  if (row.tokens_per_s_per_gpu == 0.0) return std::nullopt;
  if (!row.tokens_per_s_per_gpu || !row.global_batch || !row.seq_len || !row.gpus) return std::nullopt;
  const double tokens = static_cast<double>(*row.global_batch) * static_cast<double>(*row.seq_len);
  return tokens / (*row.tokens_per_s_per_gpu * static_cast<double>(*row.gpus));
}

}  // namespace echelon
