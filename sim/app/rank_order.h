// Ranks as the engine counts them: stage by stage, in a stage as RankLayout says.
#pragma once

#include "sim/engine/full_replay.h"
#include "strategies/mesh.h"

namespace echelon {

inline RankLayout rank_layout(const Mesh& mesh) {
  return {mesh.tensor, mesh.context, mesh.data, data_ranks_sharing_experts(mesh)};
}

// In its stage.
inline std::int64_t stage_rank_at(const Mesh& mesh, const Coordinates& at) {
  return at.tensor + mesh.tensor * (at.context + mesh.context * at.data);
}

inline std::int64_t engine_rank_at(const Mesh& mesh, const Coordinates& at) {
  return stage_rank_at(mesh, at) + at.pipeline * rank_layout(mesh).stage_ranks();
}

}  // namespace echelon
