// How the ranks of a tensor group divide a matrix product.
#pragma once

#include <cstdint>
#include <optional>

#include "sim/base/enum_names.h"

namespace echelon {

enum class TensorMode {
  one_d,            // weights by columns, then rows; activations whole (Megatron, arXiv:1909.08053)
  two_d,            // weights and activations in q x q blocks on q x q ranks (SUMMA; Optimus, arXiv:2104.05343)
  two_and_a_half_d  // d such grids hold the same weights and divide the tokens (Tesseract, arXiv:2105.14500)
};

template <>
inline constexpr auto enum_names<TensorMode> = std::to_array<EnumName<TensorMode>>({
    {TensorMode::one_d, "1d"},
    {TensorMode::two_d, "2d"},
    {TensorMode::two_and_a_half_d, "2.5d"},
});

// The grid of a tensor group: rank = column + side * (row + side * layer), as Colossal-AI counts them.
struct TensorGrid {
  std::int64_t side = 1;   // q
  std::int64_t depth = 1;  // d; 1 in two dimensions
};

// The grid that `ranks` make with that depth; nothing where they are not `depth` squares.
std::optional<TensorGrid> grid_of(std::int64_t ranks, std::int64_t depth);

}  // namespace echelon
