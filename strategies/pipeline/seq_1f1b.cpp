#include "strategies/pipeline/order.h"

namespace echelon {

namespace {

// The k-th slice of all micro-batches; backwards the slices of a micro-batch run from its last to its first, since keys
// and values of the earlier ones take part in the later ones.
Action slice_at(const ScheduleShape& shape, std::int64_t k, Pass pass) {
  const std::int64_t slice = pass == Pass::forward ? k % shape.slices : shape.slices - 1 - k % shape.slices;
  return {pass, 0, static_cast<std::int32_t>(k / shape.slices), static_cast<std::int32_t>(slice)};
}

}  // namespace

// 1F1B over slices of sequences (arXiv:2406.03488).
Schedule seq_1f1b(const ScheduleShape& shape, const ScheduleCosts& /*costs*/) {
  return by_rank(shape, StageLayout::loop, [&](std::int64_t rank) {
    return alternating_order(shape.micro_batches * shape.slices, shape.ranks - rank - 2 + shape.slices,
                             [&](std::int64_t k, Pass pass) { return slice_at(shape, k, pass); });
  });
}

// All slices forward, then all backward (arXiv:2102.07988).
Schedule tera_pipe(const ScheduleShape& shape, const ScheduleCosts& /*costs*/) {
  return by_rank(shape, StageLayout::loop, [&](std::int64_t /*rank*/) {
    RankOrder order;
    const std::int64_t all = shape.micro_batches * shape.slices;
    for (std::int64_t k = 0; k < all; ++k) order.push_back(slice_at(shape, k, Pass::forward));
    for (std::int64_t k = 0; k < all; ++k) order.push_back(slice_at(shape, k, Pass::backward));
    return order;
  });
}

}  // namespace echelon
