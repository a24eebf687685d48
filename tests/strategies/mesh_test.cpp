#include "strategies/mesh.h"

#include "strategies/placement/stages.h"
#include "tests/catch.h"

using namespace echelon;

TEST_CASE("groups lie on nodes by their stride") {
  Mesh mesh;
  mesh.tensor = 4;
  mesh.data = 8;
  mesh.pipeline = 2;
  // Order tp, cp, ep, dp, pp: tensor ranks are neighbours, data ranks stand 4 apart, pipeline ranks 32 apart.
  CHECK(axis_stride(mesh, Axis::data) == 4);
  CHECK(axis_stride(mesh, Axis::pipeline) == 32);
  CHECK(axis_layout(mesh, Axis::tensor, 8).ranks_per_node == 4);
  CHECK(axis_layout(mesh, Axis::data, 8).ranks_per_node == 2);
  CHECK(axis_layout(mesh, Axis::pipeline, 8).ranks_per_node == 1);
  mesh.tensor = 16;
  mesh.data = 2;
  CHECK(axis_layout(mesh, Axis::tensor, 8).ranks_per_node == 8);  // spans two nodes
}

TEST_CASE("context ranks reduce gradients too") {
  Mesh mesh;
  mesh.context = 2;
  mesh.data = 4;
  CHECK(data_with_context_layout(mesh, 8).ranks == 8);
  CHECK(data_with_context_layout(mesh, 8).ranks_per_node == 8);
}

TEST_CASE("expert groups lie inside data, and their gradients are reduced over what is left") {
  Mesh mesh;
  mesh.data = 16;
  mesh.expert = 8;
  CHECK(axis_layout(mesh, Axis::expert, 8).ranks_per_node == 8);
  CHECK(expert_data_layout(mesh, 8).ranks == 2);
  CHECK(expert_data_layout(mesh, 8).ranks_per_node == 1);
}

TEST_CASE("layers lie evenly, or as asked, with the fewer ones at the ends") {
  Strategy strategy;
  strategy.mesh.pipeline = 4;
  CHECK(layers_by_stage(8, strategy) == std::vector<std::int64_t>{2, 2, 2, 2});
  strategy.framework = FrameworkKind::torchtitan;
  CHECK(layers_by_stage(10, strategy) == std::vector<std::int64_t>{2, 3, 3, 2});
  strategy.first_stage_layers = 1;
  strategy.last_stage_layers = 1;
  CHECK(layers_by_stage(8, strategy) == std::vector<std::int64_t>{1, 3, 3, 1});
}

TEST_CASE("stages that cannot be are refused with a number that would do") {
  Strategy strategy;
  strategy.mesh.pipeline = 8;
  CHECK(stage_refusal(4, strategy).value().find("4 would do") != std::string::npos);
  CHECK(stage_refusal(12, strategy).value().find("pipeline_parallel 6 or last_stage_layers 5 would do") !=
        std::string::npos);
  CHECK_FALSE(stage_refusal(16, strategy).has_value());
}

TEST_CASE("groups hold the ranks that their layouts count") {
  Mesh mesh;
  mesh.tensor = 2;
  mesh.context = 2;
  mesh.data = 4;
  mesh.pipeline = 2;
  // Order tp, cp, ep, dp, pp: rank = tp + 2 cp + 4 dp + 16 pp.
  using Groups = std::vector<std::vector<std::int64_t>>;
  CHECK(stage_ranks(mesh, 1).front() == 16);
  CHECK(stage_ranks(mesh, 1).size() == 16);
  CHECK(axis_groups(mesh, Axis::tensor, 0).front() == std::vector<std::int64_t>{0, 1});
  CHECK(axis_groups(mesh, Axis::context, 1).front() == std::vector<std::int64_t>{16, 18});
  CHECK(axis_groups(mesh, Axis::data, 0)[3] == std::vector<std::int64_t>{3, 7, 11, 15});
  CHECK(communicator_groups(mesh, {8, 1, Communicator::data}, 0) ==
        Groups{{0, 2, 4, 6, 8, 10, 12, 14}, {1, 3, 5, 7, 9, 11, 13, 15}});
  CHECK(communicator_groups(mesh, {4, 1, Communicator::shard}, 0) ==
        Groups{{0, 2, 4, 6}, {8, 10, 12, 14}, {1, 3, 5, 7}, {9, 11, 13, 15}});
  CHECK(communicator_groups(mesh, {2, 1, Communicator::replica}, 0)[1] == std::vector<std::int64_t>{2, 10});
  CHECK(communicator_groups(mesh, {2, 1, Communicator::tied_ends}, 1)[5] == std::vector<std::int64_t>{5, 21});
  mesh.expert = 4;
  // Experts, whole on a rank, over neighbours; what is left of the stage's 16 ranks replicates an expert.
  CHECK(axis_groups(mesh, Axis::expert, 0).front() == std::vector<std::int64_t>{0, 1, 2, 3});
  CHECK(axis_layout(mesh, Axis::expert, 4).ranks_per_node == 4);
  CHECK(communicator_groups(mesh, {4, 1, Communicator::expert_data}, 0)[1] == std::vector<std::int64_t>{1, 5, 9, 13});
  mesh.expert_tensor = 2;  // divided as the other layers: over neighbours of data and context
  CHECK(axis_groups(mesh, Axis::expert, 0).front() == std::vector<std::int64_t>{0, 2, 4, 6});
  CHECK(axis_layout(mesh, Axis::expert, 4).ranks_per_node == 2);
}

TEST_CASE("ranks and coordinates are each other's inverse in any order of axes") {
  Mesh mesh;
  mesh.tensor = 2;
  mesh.context = 3;
  mesh.data = 4;
  mesh.pipeline = 5;
  // Order tp, cp, ep, dp, pp: rank 1 + 2 (2 + 3 (1 + 4 x 3)) stands at t 1, c 2, d 1, p 3.
  CHECK(coordinates_of(mesh, 83) == Coordinates{1, 1, 3, 2});
  for (int round = 0; round < 2; ++round) {
    for (std::int64_t rank = 0; rank < mesh.ranks(); ++rank) CHECK(rank_at(mesh, coordinates_of(mesh, rank)) == rank);
    mesh.order = {Axis::pipeline, Axis::data, Axis::tensor, Axis::expert, Axis::context};
  }
}

TEST_CASE("expert groups join the data ranks that they span") {
  Mesh mesh;
  mesh.data = 16;
  CHECK(data_ranks_sharing_experts(mesh) == 1);
  mesh.expert = 8;
  CHECK(data_ranks_sharing_experts(mesh) == 8);
  mesh.context = 2;  // half of an expert group are the context ranks of one data rank
  CHECK(data_ranks_sharing_experts(mesh) == 4);
  mesh.tensor = 8;  // experts are not divided over tensor ranks: the 16 tensor x context ranks hold two groups
  CHECK(data_ranks_sharing_experts(mesh) == 1);
}
