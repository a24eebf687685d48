#include "strategies/lowering/local_rounds.h"

#include <algorithm>
#include <functional>

#include "strategies/lowering/rank_kinds.h"
#include "strategies/mesh.h"
#include "strategies/state.h"

namespace echelon {

namespace {

constexpr Bytes fp32{4};

}  // namespace

LocalRounds::LocalRounds(const LoweringInput& input, const StageShare& share, const DataSharding& sharding)
    : input_(input),
      steps_(input.strategy.local_steps),
      share_(share),
      sharding_(sharding),
      delta_(exchanged_size(steps_.format, element_size(input.workload.precision.gradient_reduce))),
      weight_(compute_weight(input.workload)),
      outer_(outer_layout(input.strategy.mesh, input.placement.gpus_per_node)) {}

double LocalRounds::sent(std::size_t rank, std::int64_t fragment) const {
  return sharding_.owned_elements(share_.fragment_state(rank, fragment));
}

bool LocalRounds::sums_apart() const {
  return delta_ < Bytes(2);
}

// Device memory moved for an element: the delta made of two fp32 values (or of one, averaged); sums of narrow formats;
// then the step, which reads the mean, updates momentum and anchor, and writes the fp32 parameter and the one that
// layers use. What inner steps did meanwhile is mixed in: the fp32 parameter is read once more.
Bytes LocalRounds::update_traffic() const {
  const bool average = steps_.optimizer == OuterOptimizer::average;
  const Bytes made = (average ? fp32 : fp32 * 2) + delta_;
  const Bytes summed = sums_apart() ? delta_ + delta_ / static_cast<double>(outer_.ranks) : Bytes(0);
  const Bytes stepped = delta_ + (average ? Bytes(0) : fp32 * 4) + fp32 + weight_;
  const Bytes mixed = steps_.delay > 0 ? fp32 : Bytes(0);
  return made + summed + stepped + mixed;
}

CollectiveChain LocalRounds::synchronisation(std::size_t rank) const {
  GroupLayout group = outer_;
  if (input_.placement.groups.size() > 1)
    group.bridges = joins_groups(communicator_groups(input_.strategy.mesh, outer_, static_cast<std::int64_t>(rank)),
                                 input_.placement);
  const double elements = sent(rank, steps_.fragment);
  CollectiveChain chain;
  chain.copies.moved = update_traffic() * elements;
  if (steps_.part != RoundPart::all) return chain;
  if (sums_apart()) {
    chain.calls.push_back({CollectiveKind::all_to_all, group, delta_ * elements, 1});
    chain.calls.push_back({CollectiveKind::all_gather, group, delta_ * elements, 1});
  } else {
    chain.calls.push_back({CollectiveKind::all_reduce, group, delta_ * elements, 1});
  }
  return chain;
}

Bytes LocalRounds::kept(std::size_t rank) const {
  if (outer_.ranks <= 1 || steps_.optimizer == OuterOptimizer::average) return Bytes(0);
  return fp32 * 2 * sharding_.owned_elements(share_.rank_state(rank));
}

Bytes LocalRounds::kept_on_device(std::size_t rank) const {
  return keeps_elsewhere() ? Bytes(0) : kept(rank);
}

Bytes LocalRounds::kept_on_host(std::size_t rank) const {
  return input_.strategy.offload.outer == OffloadTarget::host ? kept(rank) : Bytes(0);
}

Bytes LocalRounds::brought(std::size_t rank) const {
  const Bytes sent_apart = steps_.delay > 0 ? fp32 * sent(rank, steps_.fragment) : Bytes(0);
  return keeps_elsewhere() ? updated(rank) + sent_apart : Bytes(0);
}

Bytes LocalRounds::updated(std::size_t rank) const {
  return keeps_elsewhere() ? fp32 * 2 * sent(rank, steps_.fragment) : Bytes(0);
}

// At most: as if the largest were those.
Bytes LocalRounds::under_way(std::size_t rank) const {
  if (outer_.ranks <= 1 || steps_.delay == 0) return Bytes(0);
  std::vector<double> sizes;
  for (std::int64_t fragment = 0; fragment < steps_.fragments; ++fragment) sizes.push_back(sent(rank, fragment));
  std::sort(sizes.begin(), sizes.end(), std::greater<>());
  const auto most = std::min<std::size_t>(sizes.size(), static_cast<std::size_t>(fragments_in_flight(steps_)));
  Bytes sum;
  for (std::size_t i = 0; i < most; ++i) sum += delta_ * sizes[i];
  return sum;
}

Bytes LocalRounds::deltas(std::size_t rank) const {
  return steps_.delay > 0 ? Bytes(0) : delta_ * sent(rank, steps_.fragment);
}

}  // namespace echelon
