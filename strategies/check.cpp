#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "strategies/graph_check.h"
#include "strategies/grid_check.h"
#include "strategies/intra/intra.h"
#include "strategies/local_check.h"
#include "strategies/lower.h"
#include "strategies/lowering/rank_kinds.h"
#include "strategies/mesh.h"
#include "strategies/pipeline/schedule.h"
#include "strategies/pipeline/vocabulary.h"
#include "strategies/placement/stages.h"
#include "strategies/refusal.h"
#include "strategies/stage_degrees.h"
#include "strategies/state.h"

namespace echelon {

namespace {

Refusal check_mesh(const Strategy& strategy, const Placement& placement) {
  const Mesh& mesh = strategy.mesh;
  const std::int64_t ranks = mesh.ranks();
  if (ranks == placement.gpus) return std::nullopt;
  if (!mesh.stage_tensor.empty())
    return refuse("data {} x context {} x tensor [{}] = {} ranks, but the cluster has {} GPUs; gpus {} would do",
                  mesh.data, mesh.context, fmt::join(mesh.stage_tensor, ", "), ranks, placement.gpus, ranks);
  const std::int64_t replica = mesh.tensor * mesh.pipeline * mesh.context;
  const std::int64_t replicas = std::max<std::int64_t>(1, placement.gpus / replica);
  const std::string remedy = placement.gpus == replica * replicas
                                 ? fmt::format("data_parallel {} would do", replicas)
                                 : fmt::format("gpus {} and data_parallel {} would do", replica * replicas, replicas);
  return refuse("data {} x tensor {} x pipeline {} x context {} = {} ranks, but the cluster has {} GPUs; {}", mesh.data,
                mesh.tensor, mesh.pipeline, mesh.context, ranks, placement.gpus, remedy);
}

Refusal check_experts(const Model& model, const Strategy& strategy) {
  const Mesh& mesh = strategy.mesh;
  const std::int64_t stage_ranks = mesh.data / mesh.local_groups * mesh.context * mesh.tensor;
  const std::int64_t expert_tensor = expert_tensor_degree(mesh);
  if (mesh.expert > 1 && model.experts == 0)
    return refuse("expert_parallel {} for a model without experts; expert_parallel 1 would do", mesh.expert);
  if (model.experts == 0) return std::nullopt;
  if (stage_ranks % expert_tensor != 0)
    return refuse(
        "expert_tensor_parallel {} does not divide the {} ranks of a stage; expert_tensor_parallel {} would do",
        expert_tensor, stage_ranks, divisor_below(stage_ranks, expert_tensor));
  // Without sequence parallelism tensor ranks hold the same tokens, and experts that they do not share would get each
  // token once from every one of them (Megatron-LM asks for sequence parallelism here).
  if (expert_tensor != mesh.tensor && !strategy.sequence_parallel)
    return refuse(
        "expert_tensor_parallel {} beside tensor_parallel {} needs sequence_parallel; sequence_parallel true or "
        "expert_tensor_parallel {} would do",
        expert_tensor, mesh.tensor, mesh.tensor);
  const std::int64_t expert_ranks = stage_ranks / expert_tensor;
  const auto fits = [&](std::int64_t degree) { return expert_ranks % degree == 0 && model.experts % degree == 0; };
  if (fits(mesh.expert)) return std::nullopt;
  return refuse(
      "expert_parallel {} does not divide the model's {} experts and the {} ranks that hold a stage's; expert_parallel "
      "{} would do",
      mesh.expert, model.experts, expert_ranks, largest_below(mesh.expert, fits));
}

// Megatron-Core shares a key-value head among the ranks that need it (attention.py, get_query_key_value_tensors); the
// others assert that there is one for each (nanotron, models/qwen.py) or fail on it (torchtitan, issue 2574).
bool shares_key_value_heads(FrameworkKind framework) {
  return framework == FrameworkKind::megatron || framework == FrameworkKind::deepspeed;
}

Refusal check_heads(const Model& model, const Strategy& strategy) {
  const std::int64_t tensor = strategy.mesh.tensor;
  if (tensor == 1 || model.heads == 0 || tensor_grid(strategy)) return std::nullopt;
  const auto kv_fit = [&](std::int64_t degree) {
    return model.kv_heads % degree == 0 || (degree % model.kv_heads == 0 && shares_key_value_heads(strategy.framework));
  };
  const auto fits = [&](std::int64_t degree) {
    return model.heads % degree == 0 && (model.kv_heads == 0 || kv_fit(degree));
  };
  if (fits(tensor)) return std::nullopt;
  const std::int64_t would_do = largest_below(std::min(tensor, model.heads), fits);
  if (model.heads % tensor != 0)
    return refuse("tensor_parallel {} does not divide the model's {} attention heads; tensor_parallel {} would do",
                  tensor, model.heads, would_do);
  return refuse("tensor_parallel {} does not divide the model's {} key-value heads{}; tensor_parallel {} would do",
                tensor, model.kv_heads,
                shares_key_value_heads(strategy.framework) ? ", nor they it" : ", which this framework does not share",
                would_do);
}

// Ranks that trade heads for sequence need as many for each, of queries and of keys.
Refusal check_context(const Model& model, const Strategy& strategy) {
  const Mesh& mesh = strategy.mesh;
  const std::int64_t traders = context_all_to_all_ranks(strategy);
  if (mesh.context == 1 || traders == 1 || model.heads == 0) return std::nullopt;
  const std::int64_t heads = model.heads / mesh.tensor;
  const std::int64_t kv_heads = model.kv_heads > 0 ? std::max<std::int64_t>(1, model.kv_heads / mesh.tensor) : heads;
  const auto fits = [&](std::int64_t ranks) { return heads % ranks == 0 && kv_heads % ranks == 0; };
  const bool all = strategy.context_exchange == ContextExchange::all_to_all;
  if (!all && mesh.context % traders != 0)
    return refuse(
        "context_all_to_all_ranks {} does not divide context_parallel {}; context_all_to_all_ranks {} would do",
        traders, mesh.context,
        largest_below(traders, [&](std::int64_t ranks) { return mesh.context % ranks == 0 && fits(ranks); }));
  if (fits(traders)) return std::nullopt;
  return refuse("{} {} trades heads, of which a rank has {}, and {} of keys; {} {} would do",
                all ? "context_parallel" : "context_all_to_all_ranks", traders, heads, kv_heads,
                all ? "context_parallel" : "context_all_to_all_ranks", largest_below(traders, [&](std::int64_t ranks) {
                  return fits(ranks) && (all || mesh.context % ranks == 0);
                }));
}

Refusal check_batch(const Workload& workload, const Strategy& strategy) {
  const std::int64_t replicas = strategy.mesh.data;
  if (workload.global_batch % replicas != 0)
    return refuse("global_batch {} is not a multiple of data_parallel {}; global_batch {} would do",
                  workload.global_batch, replicas, std::max(replicas, workload.global_batch / replicas * replicas));
  const std::int64_t per_replica = workload.global_batch / replicas;
  if (per_replica % strategy.micro_batch != 0 && per_replica % grid_sequences(strategy) != 0)
    return refuse(
        "micro_batch {} does not divide the {} sequences of each data-parallel rank; global_batch {} would do",
        strategy.micro_batch, per_replica, replicas * strategy.micro_batch);
  if (per_replica % strategy.micro_batch != 0)
    return refuse("micro_batch {} does not divide the {} sequences of each data-parallel rank; micro_batch {} would do",
                  strategy.micro_batch, per_replica, largest_below(strategy.micro_batch, [&](std::int64_t sequences) {
                    return per_replica % sequences == 0 && sequences % grid_sequences(strategy) == 0;
                  }));
  const std::int64_t slices = (strategy.context_balanced ? 2 : 1) * strategy.mesh.context;
  if (strategy.mesh.context > 1 && workload.sequence_length % slices != 0)
    return refuse(
        "context_parallel {} needs a sequence length that is a multiple of {}, not {}; sequence_length {} would do",
        strategy.mesh.context, slices, workload.sequence_length,
        std::max(slices, workload.sequence_length / slices * slices));
  return std::nullopt;
}

// Weights that several versions are kept of lie whole on their rank; PipeDream updates them behind each micro-batch.
Refusal check_versions(const Strategy& strategy) {
  const bool each = strategy.schedule == ScheduleKind::pipedream;
  if (strategy.given_schedule || (!each && strategy.schedule != ScheduleKind::pipedream_2bw)) return std::nullopt;
  const bool whole = strategy.sharding == Sharding::none || (!each && strategy.sharding == Sharding::zero1);
  if (whole) return std::nullopt;
  if (strategy.offload.parameters != OffloadTarget::none)
    return refuse("schedule {} keeps versions of whole weights, not offloaded shards; schedule 1f1b would do",
                  name_of(strategy.schedule));
  return refuse("schedule {} keeps versions of whole weights, not sharding {}; sharding {} would do",
                name_of(strategy.schedule), name_of(strategy.sharding), each ? "none" : "zero1");
}

Refusal check_sharding(const Strategy& strategy, const Placement& placement) {
  if (auto refusal = check_versions(strategy)) return refusal;
  const Sharding state = state_sharding(strategy);
  if (strategy.accumulates_unsharded && state != Sharding::zero3 && state != Sharding::hybrid)
    return refuse(
        "accumulates_unsharded is for parameters that are gathered layer by layer, not sharding {}; "
        "accumulates_unsharded false would do",
        name_of(strategy.sharding));
  if (strategy.accumulates_unsharded && strategy.offload.optimizer != OffloadTarget::none)
    return refuse(
        "accumulates_unsharded keeps gradients that offload.optimizer {} sends to the host; accumulates_unsharded "
        "false would do",
        name_of(strategy.offload.optimizer));
  if (strategy.sharding != Sharding::hybrid) return std::nullopt;
  const std::int64_t ranks = data_with_context_layout(strategy.mesh, placement.gpus_per_node).ranks;
  const std::int64_t shared =
      std::min(ranks, strategy.shard_ranks > 0 ? strategy.shard_ranks : placement.gpus_per_node);
  if (ranks % shared == 0) return std::nullopt;
  return refuse("hybrid sharding over {} ranks does not divide the {} data-parallel ranks; shard_ranks {} would do",
                shared, ranks, divisor_below(ranks, shared));
}

// Stages of unlike degrees, layers or machines.
bool has_unlike_stages(const Strategy& strategy, const Placement& placement) {
  return !strategy.mesh.stage_tensor.empty() || !strategy.rank_layers.empty() || !placement.groups.empty();
}

// Every rank holds its share of the tables all the time: their parameters are neither gathered by layer nor offloaded.
Refusal check_vocabulary(const Model& model, const Strategy& strategy, const Placement& placement) {
  const VocabularyParallel method = strategy.vocabulary_parallel;
  if (strategy.given_schedule && strategy.given_schedule->vocabulary != method)
    return refuse("vocabulary_parallel {} with {}, which orders other passes; vocabulary_parallel {} would do",
                  name_of(method), strategy.schedule_file, name_of(strategy.given_schedule->vocabulary));
  if (method == VocabularyParallel::none) return std::nullopt;
  if (model.graph)
    return refuse("vocabulary_parallel {} for a graph of operators, which has none; vocabulary_parallel none would do",
                  name_of(method));
  const ScheduleKind kind = strategy.given_schedule ? ScheduleKind::one_f_one_b : strategy.schedule;
  if (auto reason = vocabulary_refusal(method, kind, strategy.mesh.pipeline)) return Infeasible{*reason};
  if (has_unlike_stages(strategy, placement))
    return refuse(
        "vocabulary_parallel {} divides evenly over stages, which are not alike; vocabulary_parallel none would do",
        name_of(method));
  if (tensor_grid(strategy))
    return refuse(
        "vocabulary_parallel {} divides tables by rows, which a grid of ranks cuts; vocabulary_parallel none would do",
        name_of(method));
  if (strategy.offload.of_steps())
    return refuse("vocabulary_parallel {} leaves nothing to offload; vocabulary_parallel none would do",
                  name_of(method));
  if (strategy.sharding == Sharding::none || strategy.sharding == Sharding::zero1) return std::nullopt;
  return refuse("vocabulary_parallel {} keeps whole weights and gradients, not sharding {}; sharding zero1 would do",
                name_of(method), name_of(strategy.sharding));
}

// What a rank lends is a whole micro-batch's activations of whole passes.
Refusal check_loans(const Strategy& strategy, const Placement& placement) {
  if (strategy.given_schedule || strategy.schedule != ScheduleKind::bpipe) return std::nullopt;
  if (has_unlike_stages(strategy, placement))
    return refuse("schedule bpipe lends activations between stages, which are not alike; schedule 1f1b would do");
  if (strategy.offload.activation_layers == 0) return std::nullopt;
  return refuse(
      "schedule bpipe lends activations to other ranks, of which offload.activation_layers {} has some on the host; "
      "offload.activation_layers 0 would do",
      strategy.offload.activation_layers);
}

ScheduleShape shape_of(const Strategy& strategy) {
  ScheduleShape shape;
  shape.ranks = strategy.mesh.pipeline;
  shape.chunks = strategy.virtual_stages;
  shape.group = strategy.schedule_group;
  return shape;
}

// A schedule from a file has the ranks that it has.
Refusal check_given_ranks(const Strategy& strategy) {
  const std::int64_t ranks = strategy.given_schedule->shape.ranks;
  if (ranks == strategy.mesh.pipeline) return std::nullopt;
  return refuse("{} schedules {} ranks, not pipeline_parallel {}; pipeline_parallel {} would do",
                strategy.schedule_file, ranks, strategy.mesh.pipeline, ranks);
}

Refusal check_stages(const Model& model, const Strategy& strategy) {
  if (strategy.given_schedule) {
    if (auto refusal = check_given_ranks(strategy)) return refusal;
  } else {
    if (auto reason = chunk_refusal(strategy.schedule, strategy.virtual_stages)) return Infeasible{*reason};
    if (auto reason = rank_refusal(strategy.schedule, shape_of(strategy))) return Infeasible{*reason};
    if (auto reason = group_refusal(strategy.schedule, shape_of(strategy))) return Infeasible{*reason};
  }
  if (auto reason = stage_refusal(static_cast<std::int64_t>(model.layers.size()), strategy)) return Infeasible{*reason};
  return std::nullopt;
}

// DeepSpeed's offload_param is "valid only with stage 3" (config-json documentation). fp32 parameters are themselves
// what the optimizer updates (FSDP's CPUOffload moves both).
Refusal check_offload(const Workload& workload, const Strategy& strategy) {
  const Offload& offload = strategy.offload;
  if (offload.parameters != OffloadTarget::none) {
    const Sharding sharding = state_sharding(strategy);
    if (sharding != Sharding::zero3 && sharding != Sharding::hybrid)
      return refuse(
          "offload.parameters {} needs parameters that are gathered layer by layer, not sharding {}; sharding "
          "zero3 would do",
          name_of(offload.parameters), name_of(strategy.sharding));
    if (offload.optimizer == OffloadTarget::none && state_bytes(workload).weight >= Bytes(4))
      return refuse(
          "offload.parameters {} takes the fp32 parameters that the optimizer updates; offload.optimizer {} "
          "would do",
          name_of(offload.parameters), name_of(offload.parameters));
  }
  return std::nullopt;
}

Refusal check_offloaded_layers(const Model& model, const Strategy& strategy) {
  const auto counts = layers_by_stage(static_cast<std::int64_t>(model.layers.size()), strategy);
  const std::int64_t most = *std::max_element(counts.begin(), counts.end());
  if (strategy.offload.activation_layers <= most) return std::nullopt;
  return refuse(
      "offload.activation_layers {} is more than the {} layers of any chunk; offload.activation_layers {} would "
      "do",
      strategy.offload.activation_layers, most, most);
}

// Slices of a sequence are for the schedules that order them, and make up the whole of it.
Refusal check_slices(const Workload& workload, const Strategy& strategy) {
  const std::int64_t slices = strategy.sequence_slices;
  const auto& lengths = strategy.slice_lengths;
  if (slices == 1 && lengths.empty()) return std::nullopt;
  if (slices > 1 && !strategy.given_schedule && schedule_row(strategy.schedule).reads != ScheduleInput::slices)
    return refuse("schedule {} does not order {} slices of a sequence; sequence_slices 1 would do",
                  name_of(strategy.schedule), slices);
  if (!lengths.empty()) {
    const std::int64_t sum = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
    if (sum == workload.sequence_length) return std::nullopt;
    return refuse("sequence_slices of {} tokens together do not make up sequences of {}; sequence_slices {} would do",
                  sum, workload.sequence_length, divisor_below(workload.sequence_length, slices));
  }
  if (workload.sequence_length % slices == 0) return std::nullopt;
  return refuse("sequence_slices {} does not divide sequences of {}; sequence_slices {} would do", slices,
                workload.sequence_length, divisor_below(workload.sequence_length, slices));
}

Refusal check_schedule(const Workload& workload, const Strategy& strategy) {
  const std::int64_t all_replicas = strategy.mesh.data * strategy.micro_batch;  // sequences of a micro-batch of each
  ScheduleShape shape = shape_of(strategy);
  shape.micro_batches = workload.global_batch / all_replicas;
  if (strategy.given_schedule) {
    const std::int64_t scheduled = strategy.given_schedule->shape.micro_batches;
    if (scheduled == shape.micro_batches) return std::nullopt;
    return refuse("{} schedules {} micro-batches, not {}; global_batch {} would do", strategy.schedule_file, scheduled,
                  shape.micro_batches, scheduled * all_replicas);
  }
  const double kept = strategy.schedule_activations;
  if (schedule_row(strategy.schedule).reads == ScheduleInput::limit && kept > 0 && kept < 1)
    return refuse(
        "schedule_activations {} is less than the micro-batch that a rank works on; schedule_activations 1 "
        "would do",
        kept);
  const std::int64_t fitting = fitting_micro_batches(strategy.schedule, shape);
  if (fitting == shape.micro_batches) return std::nullopt;
  return refuse("schedule {} on pipeline_parallel {} cannot have {} micro-batches, but {}; global_batch {} would do",
                name_of(strategy.schedule), shape.ranks, shape.micro_batches, fitting, fitting * all_replicas);
}

// Parts of layers that are to run again must be there.
Refusal check_recompute(const Model& model, const Strategy& strategy) {
  for (const RecomputeModule module : strategy.recompute_operators.modules)
    if (!has_part(model, module))
      return refuse("no layer of the model has a {} to run again; leave it out of recompute's modules",
                    name_of(module));
  const Sharding sharding = state_sharding(strategy);
  if (strategy.recompute == Recompute::full && strategy.recompute_group > 1 &&
      (sharding == Sharding::zero3 || sharding == Sharding::hybrid))
    return refuse(
        "recompute.group {} with sharding {}, which gathers the parameters of one layer at a time; recompute.group 1 "
        "would do",
        strategy.recompute_group == Strategy::whole_chunk ? "stage" : std::to_string(strategy.recompute_group),
        name_of(strategy.sharding));
  return std::nullopt;
}

// Metrics take the loss again from logits that a fused loss never has whole.
Refusal check_metrics(const Strategy& strategy) {
  if (!strategy.fused_loss || strategy.metric_losses == 0) return std::nullopt;
  return refuse("metric_losses {} are taken of logits that fused_loss keeps none of; metric_losses 0 would do",
                strategy.metric_losses);
}

// What a stage's tensor degree must fit.
Refusal check_degrees(const Model& model, const Strategy& strategy, const Placement& placement) {
  if (auto refusal = check_heads(model, strategy)) return refusal;
  if (auto refusal = check_context(model, strategy)) return refusal;
  if (auto refusal = check_experts(model, strategy)) return refusal;
  return check_sharding(strategy, placement);
}

// The same for stages of unlike degrees, and on unlike machines.
Refusal check_unlike_stages(const Model& model, const Strategy& strategy, const Placement& placement) {
  for (std::int64_t stage = 0; stage < std::ssize(strategy.mesh.stage_tensor); ++stage)
    if (auto refusal = check_degrees(model, strategy_of_stage(strategy, stage), placement)) return refusal;
  if (auto reason = unlike_stages_refusal(strategy, placement)) return Infeasible{*reason};
  return std::nullopt;
}

}  // namespace

std::optional<Infeasible> check_strategy(const Model& model, const Workload& workload, const Strategy& strategy,
                                         const Placement& placement) {
  // What the model demands comes first, then what depends on the degrees that it leaves: advice that was followed stays
  // good.
  if (auto refusal = check_graph(model, strategy)) return refusal;
  if (auto refusal = check_grid(model, strategy)) return refusal;
  if (auto refusal = check_recompute(model, strategy)) return refusal;
  if (auto refusal = check_metrics(strategy)) return refusal;
  if (auto refusal = check_unlike_stages(model, strategy, placement)) return refusal;
  if (auto refusal = check_heads(model, strategy)) return refusal;
  if (auto refusal = check_graph_stages(model, strategy)) return refusal;
  if (auto refusal = check_stages(model, strategy)) return refusal;
  if (auto refusal = check_graph_tables(model, strategy)) return refusal;
  if (auto refusal = check_offloaded_layers(model, strategy)) return refusal;
  if (auto refusal = check_context(model, strategy)) return refusal;
  if (auto refusal = check_mesh(strategy, placement)) return refusal;
  if (auto refusal = check_local_steps(model, strategy)) return refusal;
  if (auto refusal = check_experts(model, strategy)) return refusal;
  if (auto refusal = check_sharding(strategy, placement)) return refusal;
  if (auto refusal = check_vocabulary(model, strategy, placement)) return refusal;
  if (auto refusal = check_loans(strategy, placement)) return refusal;
  if (auto refusal = check_offload(workload, strategy)) return refusal;
  if (auto refusal = check_batch(workload, strategy)) return refusal;
  if (auto refusal = check_slices(workload, strategy)) return refusal;
  return check_schedule(workload, strategy);
}

}  // namespace echelon
