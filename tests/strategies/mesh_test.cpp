#include "strategies/mesh.h"

#include <array>
#include <map>
#include <random>

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

TEST_CASE("a group that does not divide a node lies as the worst of its kind does") {
  Mesh mesh;
  mesh.tensor = 3;
  mesh.data = 8;
  const auto lies = [&](Axis axis, std::int64_t most, std::int64_t least) {
    const GroupLayout layout = axis_layout(mesh, axis, 8);
    CHECK(layout.ranks_per_node == most);
    CHECK(layout.least_per_node == least);
  };
  lies(Axis::tensor, 2, 1);  // ranks 6, 7 | 8
  lies(Axis::data, 3, 2);    // ranks 0, 3, 6 | 9, 12, 15 | 18, 21
  mesh.tensor = 6;
  mesh.data = 4;
  lies(Axis::tensor, 4, 2);  // 6, 7 | 8, 9, 10, 11
  mesh.tensor = 12;
  mesh.data = 2;
  lies(Axis::tensor, 8, 4);
  mesh.tensor = 1;
  mesh.data = 20;
  lies(Axis::data, 8, 4);  // the last node has four
  mesh.tensor = 5;
  mesh.data = 1;
  lies(Axis::tensor, 5, 0);  // alone on its node
}

// Every rank's node by hand.
TEST_CASE("the worst group of random meshes is the one that counting finds") {
  std::mt19937_64 random(23);
  for (int round = 0; round < 400; ++round) {
    Mesh mesh;
    mesh.tensor = 1 + static_cast<std::int64_t>(random() % 12);
    mesh.data = 1 + static_cast<std::int64_t>(random() % 40);
    mesh.pipeline = 1 + static_cast<std::int64_t>(random() % 3);
    const Axis axis = std::array{Axis::tensor, Axis::data, Axis::pipeline}[random() % 3];
    std::int64_t least = 1000;
    for (std::int64_t stage = 0; stage < mesh.pipeline; ++stage)
      for (const auto& group : axis == Axis::pipeline
                                   ? communicator_groups(mesh, {mesh.pipeline, 1, Communicator::stages}, 0)
                                   : axis_groups(mesh, axis, stage)) {
        std::map<std::int64_t, std::int64_t> on_node;
        for (const std::int64_t rank : group) ++on_node[rank / 8];
        for (const auto& [node, count] : on_node) least = std::min(least, count);
      }
    const GroupLayout layout = axis_layout(mesh, axis, 8);
    CAPTURE(mesh.tensor, mesh.data, mesh.pipeline, static_cast<int>(axis));
    CHECK((layout.least_per_node > 0 ? layout.least_per_node : layout.ranks_per_node) == least);
  }
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
