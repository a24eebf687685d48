#include <algorithm>

#include "strategies/pipeline/schedule.h"

namespace echelon {

namespace {

// The k-th slot of one direction: groups of `ranks` micro-batches walk through the chunks one after another.
Action slot(const ScheduleShape& shape, std::int64_t k, Pass pass) {
  const std::int64_t group = shape.ranks;
  std::int64_t chunk = (k / group) % shape.chunks;
  if (pass == Pass::backward) chunk = shape.chunks - 1 - chunk;
  const std::int64_t micro_batch = k / (group * shape.chunks) * group + k % group;
  return {pass, static_cast<std::int32_t>(chunk), static_cast<std::int32_t>(micro_batch)};
}

}  // namespace

RankOrder interleaved_order(const ScheduleShape& shape, std::int64_t rank) {
  RankOrder order;
  const std::int64_t slots = shape.micro_batches * shape.chunks;
  const std::int64_t warm_up = std::min(slots, (shape.chunks - 1) * shape.ranks + 2 * (shape.ranks - 1 - rank));
  for (std::int64_t k = 0; k < warm_up; ++k) order.push_back(slot(shape, k, Pass::forward));
  for (std::int64_t k = warm_up; k < slots; ++k) {
    order.push_back(slot(shape, k, Pass::forward));
    order.push_back(slot(shape, k - warm_up, Pass::backward));
  }
  for (std::int64_t k = slots - warm_up; k < slots; ++k) order.push_back(slot(shape, k, Pass::backward));
  return order;
}

}  // namespace echelon
