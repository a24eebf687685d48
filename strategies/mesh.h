// How the ranks of a mesh lie on the nodes.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/graph/work.h"
#include "strategies/strategy.h"

namespace echelon {

// Distance in ranks between neighbours along the axis: the product of the degrees inside it.
// Expert parallelism lies inside data * context and has no width of its own.
std::int64_t axis_stride(const Mesh& mesh, Axis axis);

// `gpus_per_node`: ranks are placed on nodes in order. Context and data ranks of one local group together form the
// data-parallel group that reduces gradients (`data_with_context`).
GroupLayout axis_layout(const Mesh& mesh, Axis axis, std::int64_t gpus_per_node);
GroupLayout data_with_context_layout(const Mesh& mesh, std::int64_t gpus_per_node);
// Ranks of the same place in each local group.
GroupLayout outer_layout(const Mesh& mesh, std::int64_t gpus_per_node);
// The group that reduces the gradients of routed experts: data * context / expert (and tensor / expert_tensor) of one
// local group.
GroupLayout expert_data_layout(const Mesh& mesh, std::int64_t gpus_per_node);

// The mesh as the ranks of one pipeline rank see it: its tensor degree is everybody's.
Mesh stage_mesh(const Mesh& mesh, std::int64_t pipeline_rank);

// Degree of tensor parallelism inside an expert.
std::int64_t expert_tensor_degree(const Mesh& mesh);

// Ranks of a pipeline rank, ascending.
std::vector<std::int64_t> stage_ranks(const Mesh& mesh, std::int64_t pipeline_rank);

// Every group along an axis among a stage's ranks; along the expert axis, neighbours of the data * context group.
std::vector<std::vector<std::int64_t>> axis_groups(const Mesh& mesh, Axis axis, std::int64_t pipeline_rank);

// Each rank of one pipeline rank with the one of the same place in another; of unlike tensor degrees, each rank of the
// wider one with the one whose part of a tensor its own lies in.
std::vector<std::vector<std::int64_t>> stage_pairs(const Mesh& mesh, std::int64_t one, std::int64_t other);

// Every group of that kind whose members `pipeline_rank` has a part in; `layout` says how many ranks each has. Tied
// ends are taken to lie on the first and the last pipeline rank.
std::vector<std::vector<std::int64_t>> communicator_groups(const Mesh& mesh, const GroupLayout& layout,
                                                           std::int64_t pipeline_rank);

// Where a rank stands on each axis.
struct Coordinates {
  std::int64_t data = 0;
  std::int64_t tensor = 0;
  std::int64_t pipeline = 0;
  std::int64_t context = 0;
  friend bool operator==(const Coordinates&, const Coordinates&) = default;
};

// Ranks are numbered along the mesh's order, innermost axis first; of stages of unlike degrees, stage after stage.
Coordinates coordinates_of(const Mesh& mesh, std::int64_t rank);
std::int64_t rank_at(const Mesh& mesh, const Coordinates& coordinates);

// Neighbouring data coordinates whose ranks exchange tokens with each other's experts, directly or through others of
// their tensor and context groups: expert groups are neighbours in a stage. 1 without experts.
std::int64_t data_ranks_sharing_experts(const Mesh& mesh);

// Whether two pipeline ranks lie on one node.
bool pipeline_ranks_share_node(const Mesh& mesh, std::int64_t one, std::int64_t other, std::int64_t gpus_per_node);

}  // namespace echelon
