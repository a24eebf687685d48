#include "strategies/grid_check.h"

#include <optional>
#include <string>

namespace echelon {

namespace {

// What of the model has no form on a grid, as a user would call it; of the user's own graph the first operator.
std::optional<std::string> stranger(const Model& model) {
  bool scans = false;
  bool is_latent = false;
  for (const Block& block : model.blocks)
    for (const auto vertex : boost::make_iterator_range(vertices(block.graph))) {
      const Operator& op = block.graph[vertex];
      if (op.tensors) return op.name;
      if (op.routed || op.kind == OperatorKind::permute) return "mixtures of experts";
      scans = scans || op.kind == OperatorKind::state_space;
      is_latent = is_latent || op.split == TensorSplit::replicated;
    }
  if (scans) return "state-space layers";
  return is_latent ? std::optional<std::string>("multi-head latent attention") : std::nullopt;
}

Refusal check_company(const Model& model, const Strategy& strategy) {
  const auto mode = name_of(strategy.tensor_mode);
  if (const auto found = stranger(model))
    return refuse("tensor_mode {} divides the layers of dense transformers, not {}; tensor_mode 1d would do", mode,
                  *found);
  if (!strategy.mesh.stage_tensor.empty())
    return refuse("tensor_mode {} with tensor_parallel by pipeline rank; tensor_mode 1d would do", mode);
  if (strategy.sequence_parallel)
    return refuse("tensor_mode {} divides tokens already; sequence_parallel false would do", mode);
  if (strategy.mesh.context > 1)
    return refuse("tensor_mode {} beside context_parallel {}; context_parallel 1 would do", mode,
                  strategy.mesh.context);
  if (strategy.recompute == Recompute::selective_ops)
    return refuse("recompute selective_ops knows one-dimensional layers, not tensor_mode {}; recompute none would do",
                  mode);
  return std::nullopt;
}

}  // namespace

Refusal check_grid(const Model& model, const Strategy& strategy) {
  const std::int64_t depth = strategy.tensor_depth;
  const auto mode = name_of(strategy.tensor_mode);
  if (strategy.tensor_mode == TensorMode::one_d) {
    if (depth == 1) return std::nullopt;
    return refuse("tensor_depth {} with tensor_mode 1d; tensor_depth 1 would do", depth);
  }
  if (auto refusal = check_company(model, strategy)) return refusal;
  if (strategy.tensor_mode == TensorMode::two_d && depth > 1)
    return refuse("tensor_depth {} with tensor_mode 2d; tensor_depth 1 or tensor_mode 2.5d would do", depth);
  const std::int64_t tensor = strategy.mesh.tensor;
  const auto fits = [&](std::int64_t ranks) {
    const auto grid = grid_of(ranks, depth);
    return grid && model.heads % grid->side == 0 && model.kv_heads % grid->side == 0;
  };
  if (!fits(tensor)) {
    const std::int64_t would_do = std::max(depth, largest_below(tensor, fits));
    if (!grid_of(tensor, depth) && depth == 1)
      return refuse("tensor_parallel {} is no square of ranks; tensor_parallel {} would do", tensor, would_do);
    if (!grid_of(tensor, depth))
      return refuse("tensor_parallel {} is not tensor_depth {} times a square; tensor_parallel {} would do", tensor,
                    depth, would_do);
    return refuse(
        "tensor_parallel {} makes a grid of {} columns, which do not divide the model's {} heads and {} of keys; "
        "tensor_parallel {} would do",
        tensor, grid_of(tensor, depth)->side, model.heads, model.kv_heads, would_do);
  }
  const std::int64_t sequences = grid_sequences(strategy);
  if (strategy.micro_batch % sequences == 0) return std::nullopt;
  return refuse(
      "micro_batch {} is no multiple of the {} parts that tensor_mode {} divides it in; micro_batch {} would do",
      strategy.micro_batch, sequences, mode, (strategy.micro_batch / sequences + 1) * sequences);
}

std::int64_t grid_sequences(const Strategy& strategy) {
  const auto grid = tensor_grid(strategy);
  return grid ? grid->side * grid->depth : 1;
}

}  // namespace echelon
