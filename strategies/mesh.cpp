#include "strategies/mesh.h"

#include <algorithm>
#include <numeric>

namespace echelon {

namespace {

std::int64_t degree(const Mesh& mesh, Axis axis) {
  switch (axis) {
    case Axis::tensor:
      return mesh.tensor;
    case Axis::context:
      return mesh.context;
    case Axis::data:
      return mesh.data;
    case Axis::pipeline:
      return mesh.pipeline;
    case Axis::expert:
      return 1;
  }
  return 1;
}

// Ranks at 0, stride, 2*stride, ...: how many fall on the first node.
GroupLayout strided(std::int64_t ranks, std::int64_t stride, std::int64_t gpus_per_node) {
  const std::int64_t on_node = std::max<std::int64_t>(1, gpus_per_node / std::max<std::int64_t>(1, stride));
  return {ranks, std::min(ranks, on_node)};
}

}  // namespace

std::int64_t axis_stride(const Mesh& mesh, Axis axis) {
  std::int64_t stride = 1;
  for (Axis inner : mesh.order) {
    if (inner == axis) break;
    stride *= degree(mesh, inner);
  }
  return stride;
}

GroupLayout axis_layout(const Mesh& mesh, Axis axis, std::int64_t gpus_per_node) {
  if (axis == Axis::expert) {
    // Expert groups take the first ranks of the data * context group.
    const std::int64_t stride = std::min(axis_stride(mesh, Axis::data), axis_stride(mesh, Axis::context));
    return strided(mesh.expert, stride, gpus_per_node);
  }
  return strided(degree(mesh, axis), axis_stride(mesh, axis), gpus_per_node);
}

GroupLayout data_with_context_layout(const Mesh& mesh, std::int64_t gpus_per_node) {
  const GroupLayout data = axis_layout(mesh, Axis::data, gpus_per_node);
  const GroupLayout context = axis_layout(mesh, Axis::context, gpus_per_node);
  const std::int64_t on_node = std::min(gpus_per_node, data.ranks_per_node * context.ranks_per_node);
  return {mesh.data * mesh.context, std::max<std::int64_t>(1, std::min(mesh.data * mesh.context, on_node))};
}

std::int64_t expert_tensor_degree(const Mesh& mesh) {
  if (mesh.expert_tensor > 0) return mesh.expert_tensor;
  return mesh.expert > 1 ? 1 : mesh.tensor;
}

GroupLayout expert_data_layout(const Mesh& mesh, std::int64_t gpus_per_node) {
  const std::int64_t stage_ranks = mesh.tensor * mesh.context * mesh.data;
  const std::int64_t inside = expert_tensor_degree(mesh) * mesh.expert;
  return strided(std::max<std::int64_t>(1, stage_ranks / inside), inside, gpus_per_node);
}

Coordinates coordinates_of(const Mesh& mesh, std::int64_t rank) {
  const auto along = [&](Axis axis) { return rank / axis_stride(mesh, axis) % degree(mesh, axis); };
  return {along(Axis::data), along(Axis::tensor), along(Axis::pipeline), along(Axis::context)};
}

std::int64_t rank_at(const Mesh& mesh, const Coordinates& coordinates) {
  return coordinates.data * axis_stride(mesh, Axis::data) + coordinates.tensor * axis_stride(mesh, Axis::tensor) +
         coordinates.pipeline * axis_stride(mesh, Axis::pipeline) +
         coordinates.context * axis_stride(mesh, Axis::context);
}

std::int64_t data_ranks_sharing_experts(const Mesh& mesh) {
  if (mesh.expert == 1) return 1;
  const std::int64_t replica = mesh.tensor * mesh.context;
  return std::lcm(expert_tensor_degree(mesh) * mesh.expert, replica) / replica;
}

bool pipeline_ranks_share_node(const Mesh& mesh, std::int64_t one, std::int64_t other, std::int64_t gpus_per_node) {
  const std::int64_t stride = axis_stride(mesh, Axis::pipeline);
  return (one * stride) / gpus_per_node == (other * stride) / gpus_per_node;
}

}  // namespace echelon
