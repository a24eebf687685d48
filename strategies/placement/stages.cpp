#include "strategies/placement/stages.h"

#include <fmt/format.h>

#include <algorithm>

namespace echelon {

namespace {

std::int64_t stage_count(const Strategy& strategy) {
  return strategy.mesh.pipeline * strategy.virtual_stages;
}

// Megatron-LM asks for even stages unless the first or last stage's layers are given; the others spread what is left
// over.
bool demands_even_stages(FrameworkKind framework) {
  return framework == FrameworkKind::megatron || framework == FrameworkKind::deepspeed;
}

// Counting embedding and loss as a layer each (--account-for-embedding-in-pipeline-split and -loss-), so that the first
// and the last stage have one layer fewer.
bool even_with_ends(std::int64_t layers, std::int64_t stages) {
  return (layers + 2) % stages == 0;
}

}  // namespace

std::optional<std::string> stage_refusal(std::int64_t layers, const Strategy& strategy) {
  const std::int64_t stages = stage_count(strategy);
  if (stages > layers)
    return fmt::format(
        "pipeline_parallel {} x virtual_stages {} = {} stages, more than the model's {} layers; {} would do",
        strategy.mesh.pipeline, strategy.virtual_stages, stages, layers, layers);
  const std::int64_t fixed = strategy.first_stage_layers + strategy.last_stage_layers;
  if (fixed > 0) {
    const std::int64_t free_stages = stages - (strategy.first_stage_layers > 0) - (strategy.last_stage_layers > 0);
    if (fixed > layers || (free_stages > 0 && (layers - fixed) / free_stages < 1) ||
        (free_stages == 0 && fixed != layers))
      return fmt::format(
          "first_stage_layers {} and last_stage_layers {} leave {} of {} layers for {} stages; "
          "each stage needs at least one",
          strategy.first_stage_layers, strategy.last_stage_layers, layers - fixed, layers, free_stages);
    return std::nullopt;
  }
  if (demands_even_stages(strategy.framework) && layers % stages != 0 && !even_with_ends(layers, stages)) {
    std::int64_t fewer = strategy.mesh.pipeline;
    while (fewer > 1 && layers % (fewer * strategy.virtual_stages) != 0) --fewer;
    return fmt::format(
        "{} layers do not divide into {} stages; pipeline_parallel {} would do, or first_stage_layers and "
        "last_stage_layers",
        layers, stages, fewer);
  }
  return std::nullopt;
}

std::vector<std::int64_t> layers_by_stage(std::int64_t layers, const Strategy& strategy) {
  const std::int64_t stages = stage_count(strategy);
  std::vector<std::int64_t> counts(static_cast<std::size_t>(stages), 0);
  std::size_t first = 0;
  std::size_t last = counts.size();
  std::int64_t left = layers;
  if (strategy.first_stage_layers > 0) {
    counts[first++] = strategy.first_stage_layers;
    left -= strategy.first_stage_layers;
  }
  if (strategy.last_stage_layers > 0 && last > first) {
    counts[--last] = strategy.last_stage_layers;
    left -= strategy.last_stage_layers;
  }
  const std::int64_t open = static_cast<std::int64_t>(last - first);
  if (open == 0) return counts;
  const std::int64_t over = left % open;
  const std::int64_t lead = (open - over) / 2;  // stages before the fuller ones
  for (std::int64_t i = 0; i < open; ++i)
    counts[first + static_cast<std::size_t>(i)] = left / open + (i >= lead && i < lead + over ? 1 : 0);
  return counts;
}

}  // namespace echelon
