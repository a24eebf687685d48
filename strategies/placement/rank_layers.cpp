#include "strategies/placement/rank_layers.h"

#include <fmt/format.h>

#include <algorithm>

namespace echelon {

namespace {

struct Run {
  std::int64_t rank = 0;
  std::int64_t layers = 0;
};

struct Holder {
  std::int64_t layer = 0;
  std::int64_t rank = 0;
};

// Neighbouring layers of one rank together, in the order of the model.
std::vector<Run> runs_of(const Strategy& strategy) {
  std::vector<Holder> holders;
  for (std::size_t rank = 0; rank < strategy.rank_layers.size(); ++rank)
    for (const std::int64_t layer : strategy.rank_layers[rank])
      holders.push_back({layer, static_cast<std::int64_t>(rank)});
  std::stable_sort(holders.begin(), holders.end(), [](const Holder& a, const Holder& b) { return a.layer < b.layer; });
  std::vector<Run> runs;
  for (const Holder& holder : holders) {
    if (runs.empty() || runs.back().rank != holder.rank) runs.push_back({holder.rank, 0});
    ++runs.back().layers;
  }
  return runs;
}

// By run: its stage in the layout with as many chunks as it takes.
std::vector<std::int64_t> stages_of(const std::vector<Run>& runs, std::int64_t ranks, StageLayout layout) {
  ScheduleShape shape;
  shape.ranks = ranks;
  std::vector<std::int64_t> stages;
  std::int64_t next = 0;
  for (const Run& run : runs) {
    while (place_of(layout, shape, next).rank != run.rank) ++next;
    stages.push_back(next++);
  }
  return stages;
}

std::string ranks_of(std::int64_t count) {
  return fmt::format("{} rank{}", count, count == 1 ? "" : "s");
}

// A layer that the model does not have, or that was listed before.
std::optional<RankLayersFault> fault_of_layers(std::int64_t layers, const Strategy& strategy) {
  const auto most = static_cast<std::size_t>(layers);
  std::vector<std::int64_t> holder(most, -1);
  for (std::size_t rank = 0; rank < strategy.rank_layers.size(); ++rank) {
    const auto& list = strategy.rank_layers[rank];
    if (list.empty())
      return RankLayersFault{rank, 0, fmt::format("rank_layers gives rank {} no layer", rank),
                             fmt::format("a layer for it, or a list of fewer ranks would do")};
    for (std::size_t item = 0; item < list.size(); ++item) {
      if (list[item] < 0 || list[item] >= layers)
        return RankLayersFault{rank, item, fmt::format("rank_layers names layer {}", list[item]),
                               fmt::format("layers 0 to {} would do", layers - 1)};
      std::int64_t& known = holder[static_cast<std::size_t>(list[item])];
      if (known >= 0)
        return RankLayersFault{
            rank, item, fmt::format("rank_layers lists layer {} on rank {} and on rank {}", list[item], known, rank),
            "one of them alone would do"};
      known = static_cast<std::int64_t>(rank);
    }
  }
  const auto missing = std::find(holder.begin(), holder.end(), -1);
  if (missing == holder.end()) return std::nullopt;
  const auto layer = missing - holder.begin();
  const auto end = std::find_if(missing, holder.end(), [](std::int64_t rank) { return rank >= 0; }) - holder.begin();
  const std::string absent = end - layer == 1 ? fmt::format("{}", layer) : fmt::format("{}-{}", layer, end - 1);
  const std::int64_t rank = layer > 0 ? holder[static_cast<std::size_t>(layer - 1)] : 0;
  return RankLayersFault{std::nullopt, 0, fmt::format("rank_layers leaves out {} of {} layers", absent, layers),
                         fmt::format("{} on rank {} would do", absent, rank)};
}

}  // namespace

std::optional<RankLayersFault> rank_layers_fault(std::int64_t layers, const Strategy& strategy) {
  const auto ranks = std::ssize(strategy.rank_layers);
  if (ranks != strategy.mesh.pipeline)
    return RankLayersFault{
        std::nullopt, 0,
        fmt::format("rank_layers lists {}, not the {} of pipeline_parallel", ranks_of(ranks), strategy.mesh.pipeline),
        fmt::format("pipeline_parallel {} would do", ranks)};
  if (!strategy.stage_layers.empty() || strategy.first_stage_layers > 0 || strategy.last_stage_layers > 0 ||
      strategy.balances_stages)
    return RankLayersFault{std::nullopt, 0, "rank_layers stands beside numbers of layers by stage",
                           "rank_layers alone would do"};
  const StageLayout layout = layout_of(strategy);
  if (layout == StageLayout::bidirectional)
    return RankLayersFault{std::nullopt, 0,
                           fmt::format("rank_layers lays one copy of the model, and schedule {} runs one each way",
                                       name_of(strategy.schedule)),
                           "schedule interleaved would do"};
  if (strategy.given_schedule == nullptr && strategy.schedule == ScheduleKind::searched)
    return RankLayersFault{std::nullopt, 0, "rank_layers lays stages that schedule searched would lay itself",
                           "schedule interleaved would do"};
  if (auto fault = fault_of_layers(layers, strategy)) return fault;
  const std::int64_t fewest = fewest_chunks(strategy, layout);
  if (fewest <= strategy.virtual_stages) return std::nullopt;
  std::int64_t chunks = fewest;
  const bool many = strategy.given_schedule == nullptr && schedule_row(strategy.schedule).most_chunks == 0;
  while (many && chunk_refusal(strategy.schedule, chunks)) ++chunks;
  const std::int64_t in_loops = fewest_chunks(strategy, StageLayout::loop);
  return RankLayersFault{
      std::nullopt, 0,
      fmt::format("rank_layers takes {} chunks a rank in the order of schedule {}, not virtual_stages {}", fewest,
                  name_of(strategy.schedule), strategy.virtual_stages),
      many ? fmt::format("virtual_stages {} would do", chunks)
           : fmt::format("schedule interleaved and virtual_stages {} would do", in_loops)};
}

std::vector<std::int64_t> layers_by_place(const Strategy& strategy) {
  const std::int64_t ranks = strategy.mesh.pipeline;
  std::vector<std::int64_t> counts(static_cast<std::size_t>(ranks * strategy.virtual_stages), 0);
  const std::vector<Run> runs = runs_of(strategy);
  const std::vector<std::int64_t> stages = stages_of(runs, ranks, layout_of(strategy));
  for (std::size_t i = 0; i < runs.size(); ++i) counts[static_cast<std::size_t>(stages[i])] = runs[i].layers;
  return counts;
}

std::int64_t fewest_chunks(const Strategy& strategy, StageLayout layout) {
  const auto ranks = std::ssize(strategy.rank_layers);
  const std::vector<std::int64_t> stages = stages_of(runs_of(strategy), ranks, layout);
  return stages.empty() ? 1 : stages.back() / ranks + 1;
}

}  // namespace echelon
