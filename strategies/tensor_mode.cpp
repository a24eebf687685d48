#include "strategies/tensor_mode.h"

#include <cmath>

#include "strategies/strategy.h"

namespace echelon {

std::optional<TensorGrid> grid_of(std::int64_t ranks, std::int64_t depth) {
  const TensorGrid grid{std::llround(std::sqrt(static_cast<double>(ranks) / static_cast<double>(depth))), depth};
  if (grid.side * grid.side * depth != ranks) return std::nullopt;
  return grid;
}

std::optional<TensorGrid> tensor_grid(const Strategy& strategy) {
  if (strategy.tensor_mode == TensorMode::one_d || strategy.mesh.tensor <= 1) return std::nullopt;
  return grid_of(strategy.mesh.tensor, strategy.tensor_depth);
}

}  // namespace echelon
