#include "sim/app/warnings.h"

#include <fmt/format.h>

#include <cstddef>
#include <utility>

#include "strategies/intra/intra.h"
#include "strategies/mesh.h"
#include "strategies/unread.h"

namespace echelon {

namespace {

// Degrees whose groups lie on nodes unevenly, which costs them adapters.
std::vector<std::string> uneven_groups(const Scenario& scenario) {
  std::vector<std::string> warnings;
  const std::int64_t width = scenario.profile.network.gpus_per_node;
  if (scenario.machines() > 1 || scenario.profile.network.scale_up_gpus() > width) return warnings;
  struct Degree {
    const char* key;
    Axis axis;
  };
  for (const Degree& degree : {Degree{"tensor_parallel", Axis::tensor}, Degree{"context_parallel", Axis::context},
                               Degree{"expert_parallel", Axis::expert}}) {
    const GroupLayout layout = axis_layout(scenario.strategy.mesh, degree.axis, width);
    if (layout.least_per_node > 0)
      warnings.push_back(fmt::format(
          "{} {} lies unevenly on nodes of {} GPUs: some groups have {} of their ranks on one and {} on another",
          degree.key, layout.ranks, width, layout.least_per_node, layout.ranks_per_node));
  }
  return warnings;
}

}  // namespace

std::vector<std::string> warnings_of(const Scenario& scenario, const Result& result) {
  std::vector<std::string> warnings;
  const MemoryResult& memory = result.memory;
  if (memory.host > memory.host_capacity)
    warnings.push_back(fmt::format("does not fit: {:.1f} GiB of host memory needed on a node, {:.1f} GiB there are",
                                   memory.host / gibibytes(1), memory.host_capacity / gibibytes(1)));
  const StageMemory* worst = nullptr;
  for (const StageMemory& stage : memory.per_stage)
    if (stage.device > stage.capacity &&
        (worst == nullptr || stage.device - stage.capacity > worst->device - worst->capacity))
      worst = &stage;
  if (worst != nullptr)
    warnings.push_back(fmt::format("does not fit: {:.1f} GiB needed on the fullest rank, {:.1f} GiB there are",
                                   worst->device / gibibytes(1), worst->capacity / gibibytes(1)));
  if (const double kept = kept_copies(scenario.strategy, scenario.model.experts); kept < 1)
    warnings.push_back(fmt::format(
        "{:.3g} % of token copies are dropped: experts have room for {} times their mean; mfu leaves out the work that "
        "these would have been, Megatron-LM's own FLOP/s do not",
        100 * (1 - kept), scenario.strategy.expert_capacity_factor));
  for (std::string& sentence : unread_keys(scenario.model, scenario.strategy)) warnings.push_back(std::move(sentence));
  if (scenario.strategy.offload.optimizer != OffloadTarget::none)
    warnings.emplace_back(
        "the step on the host is priced at the datasheet bandwidth of its memory, which takes all its cores: with a "
        "thread a rank (torchrun's default) expect many times as long");
  if (scenario.strategy.checks_collectives)
    warnings.emplace_back(
        "PyTorch's checks hold hosts up before each collective for as long as in published runs of nanotron");
  if (scenario.placement.kind == PlacementKind::fragmented && scenario.cluster_gpus <= scenario.gpus)
    warnings.emplace_back(
        "the fragmented job fills its cluster, which leaves one placement: cluster.cluster_gpus makes room for others");
  if (scenario.network == NetworkModel::flow && scenario.profile.network.ring_adapters > 0)
    warnings.push_back(fmt::format(
        "flows use every adapter of a node, where this machine's rings drive {}: groups with several ranks a node "
        "come out too fast, --network analytic prices them as measured",
        scenario.profile.network.ring_adapters));
  const NodeShape& drawn = scenario.profile.topology.node;
  if (scenario.network == NetworkModel::flow && (drawn.gpu_latency || drawn.adapter_latency))
    warnings.emplace_back(
        "the topology's latencies of GPUs and adapters are drawn alone: the profile's network section has those that "
        "are priced");
  const double ungrounded = result.coverage[static_cast<std::size_t>(Ground::datasheet)];
  if (ungrounded > 0.05)
    warnings.push_back(fmt::format("{:.0f} % of device time is priced from datasheet rates alone", 100 * ungrounded));
  const double scaled = result.coverage[static_cast<std::size_t>(Ground::scaled)];
  if (scaled > 0.5)
    warnings.push_back(fmt::format(
        "{:.0f} % of device time is scaled from measurements on another GPU or number format", 100 * scaled));
  if (!result.ranks && scenario.tells_ranks_apart())
    warnings.emplace_back("variability and faults are left out: folded replay runs one rank for each pipeline stage");
  if (!scenario.strategy.overlap_gradient_reduce && result.breakdown.exposed_dp / result.iteration > 0.1)
    warnings.emplace_back("gradient reduction is not overlapped: strategy.overlap_gradient_reduce would hide it");
  for (std::string& warning : uneven_groups(scenario)) warnings.push_back(std::move(warning));
  return warnings;
}

}  // namespace echelon
