// Ranks as the engine counts them: stage by stage, in a stage as RankLayout says.
#pragma once

#include <utility>
#include <vector>

#include "sim/engine/full_replay.h"
#include "strategies/mesh.h"

namespace echelon {

inline std::int64_t tensor_degree(const Mesh& mesh, std::int64_t pipeline_rank) {
  return mesh.stage_tensor.empty() ? mesh.tensor : mesh.stage_tensor[static_cast<std::size_t>(pipeline_rank)];
}

// Ranks of a stage.
inline std::int64_t stage_width(const Mesh& mesh, std::int64_t pipeline_rank) {
  return tensor_degree(mesh, pipeline_rank) * mesh.context * mesh.data;
}

inline RankLayout rank_layout(const Mesh& mesh, std::int64_t pipeline_rank) {
  return {tensor_degree(mesh, pipeline_rank), mesh.context, mesh.data,
          data_ranks_sharing_experts(stage_mesh(mesh, pipeline_rank))};
}

inline StageLayouts stage_layouts(const Mesh& mesh) {
  std::vector<RankLayout> layouts;
  for (std::int64_t stage = 0; stage < mesh.pipeline; ++stage) layouts.push_back(rank_layout(mesh, stage));
  return StageLayouts(std::move(layouts));
}

// In its stage.
inline std::int64_t stage_rank_at(const Mesh& mesh, const Coordinates& at) {
  return at.tensor + tensor_degree(mesh, at.pipeline) * (at.context + mesh.context * at.data);
}

inline std::int64_t engine_rank_at(const Mesh& mesh, const Coordinates& at) {
  std::int64_t before = 0;
  for (std::int64_t stage = 0; stage < at.pipeline; ++stage) before += stage_width(mesh, stage);
  return before + stage_rank_at(mesh, at);
}

}  // namespace echelon
