#include <fmt/format.h>

#include <algorithm>

#include "strategies/lower.h"
#include "strategies/mesh.h"
#include "strategies/pipeline/schedule.h"
#include "strategies/placement/stages.h"

namespace echelon {

namespace {

// The largest divisor of `whole` that is at most `wanted`.
std::int64_t divisor_below(std::int64_t whole, std::int64_t wanted) {
  for (std::int64_t candidate = std::min(whole, wanted); candidate > 1; --candidate)
    if (whole % candidate == 0) return candidate;
  return 1;
}

using Refusal = std::optional<Infeasible>;

Refusal check_mesh(const Strategy& strategy, const Placement& placement) {
  const Mesh& mesh = strategy.mesh;
  const std::int64_t ranks = mesh.ranks();
  if (ranks != placement.gpus)
    return Infeasible{
        fmt::format("data {} x tensor {} x pipeline {} x context {} = {} ranks, but the cluster has {} GPUs; "
                    "data_parallel {} would do",
                    mesh.data, mesh.tensor, mesh.pipeline, mesh.context, ranks, placement.gpus,
                    std::max<std::int64_t>(1, placement.gpus / (mesh.tensor * mesh.pipeline * mesh.context)))};
  const std::int64_t expert_ranks = mesh.data * mesh.context * mesh.tensor / expert_tensor_degree(mesh);
  if (mesh.expert > 1 && expert_ranks % mesh.expert != 0)
    return Infeasible{
        fmt::format("expert_parallel {} does not divide the {} ranks that hold a stage's experts; {} would do",
                    mesh.expert, expert_ranks, divisor_below(expert_ranks, mesh.expert))};
  return std::nullopt;
}

Refusal check_model(const Model& model, const Strategy& strategy) {
  const Mesh& mesh = strategy.mesh;
  if (mesh.tensor > 1 && model.heads > 0 && mesh.tensor > model.heads)
    return Infeasible{fmt::format("tensor_parallel {} is more than the model's {} attention heads; {} would do",
                                  mesh.tensor, model.heads, divisor_below(model.heads, mesh.tensor))};
  if (mesh.tensor > 1 && model.heads > 0 && model.heads % mesh.tensor != 0)
    return Infeasible{fmt::format("tensor_parallel {} does not divide the model's {} attention heads; {} would do",
                                  mesh.tensor, model.heads, divisor_below(model.heads, mesh.tensor))};
  if (mesh.expert > 1 && model.experts == 0)
    return Infeasible{fmt::format("expert_parallel {} for a model without experts; 1 would do", mesh.expert)};
  if (mesh.expert > 1 && model.experts % mesh.expert != 0)
    return Infeasible{fmt::format("expert_parallel {} does not divide the model's {} experts; {} would do", mesh.expert,
                                  model.experts, divisor_below(model.experts, mesh.expert))};
  return std::nullopt;
}

Refusal check_batch(const Workload& workload, const Strategy& strategy) {
  const std::int64_t replicas = strategy.mesh.data;
  if (workload.global_batch % replicas != 0)
    return Infeasible{fmt::format("global_batch {} is not a multiple of data_parallel {}; {} would do",
                                  workload.global_batch, replicas,
                                  std::max(replicas, workload.global_batch / replicas * replicas))};
  const std::int64_t per_replica = workload.global_batch / replicas;
  if (per_replica % strategy.micro_batch != 0)
    return Infeasible{
        fmt::format("micro_batch {} does not divide the {} sequences of each data-parallel rank; {} would do",
                    strategy.micro_batch, per_replica, divisor_below(per_replica, strategy.micro_batch))};
  if (workload.sequence_length % (2 * strategy.mesh.context) != 0 && strategy.mesh.context > 1)
    return Infeasible{
        fmt::format("context_parallel {} needs a sequence length that is a multiple of {}, not {}; {} would do",
                    strategy.mesh.context, 2 * strategy.mesh.context, workload.sequence_length,
                    workload.sequence_length / (2 * strategy.mesh.context) * 2 * strategy.mesh.context)};
  return std::nullopt;
}

Refusal check_pipeline(const Model& model, const Workload& workload, const Strategy& strategy) {
  if (auto reason = stage_refusal(static_cast<std::int64_t>(model.layers.size()), strategy)) return Infeasible{*reason};
  const std::int64_t micro_batches = workload.global_batch / strategy.mesh.data / strategy.micro_batch;
  const ScheduleShape shape{strategy.mesh.pipeline, micro_batches, strategy.virtual_stages};
  if (auto reason = schedule_refusal(strategy.schedule, shape)) return Infeasible{*reason};
  return std::nullopt;
}

}  // namespace

std::optional<Infeasible> check_strategy(const Model& model, const Workload& workload, const Strategy& strategy,
                                         const Placement& placement) {
  if (auto refusal = check_mesh(strategy, placement)) return refusal;
  if (auto refusal = check_model(model, strategy)) return refusal;
  if (auto refusal = check_batch(workload, strategy)) return refusal;
  return check_pipeline(model, workload, strategy);
}

}  // namespace echelon
