// Layers of a pipeline rank that are not next to each other.
#include "strategies/placement/rank_layers.h"

#include <algorithm>
#include <random>
#include <set>

#include "strategies/placement/stages.h"
#include "tests/catch.h"
#include "tests/strategies/lowered.h"

using namespace echelon;

namespace {

using Lists = std::vector<std::vector<std::int64_t>>;

Strategy listed(const Lists& lists, ScheduleKind schedule, std::int64_t chunks) {
  Strategy strategy;
  strategy.mesh.pipeline = std::ssize(lists);
  strategy.schedule = schedule;
  strategy.virtual_stages = chunks;
  strategy.rank_layers = lists;
  return strategy;
}

Workload batch_of(std::int64_t sequences) {
  Workload workload;
  workload.sequence_length = 32;
  workload.global_batch = sequences;
  return workload;
}

std::variant<Lowering, Infeasible> lowered(const Model& model, const Strategy& strategy, std::int64_t micro_batches) {
  return lower(model, batch_of(micro_batches), strategy, {strategy.mesh.ranks(), 8});
}

// 1 for each layer of a pass (2 backward), nothing for all else.
std::vector<WorkTime> times_by_layer(const Lowering& lowering, const Model& model) {
  std::vector<WorkTime> times;
  for (const Work& work : lowering.works) {
    double time = 0;
    if (const auto* compute = std::get_if<ComputeWork>(&work))
      for (const LayerRun& run : compute->runs)
        if (model.blocks[static_cast<std::size_t>(run.block)].role == BlockRole::layer)
          time += run.count * (run.pass == Pass::backward ? 2 : 1);
    times.push_back({Time::from_picoseconds(static_cast<std::int64_t>(time * 1000)), Time()});
  }
  return times;
}

Time makespan(const Lowering& lowering, const std::vector<WorkTime>& times) {
  const auto outcome = replay(lowering.graph, times, {});
  REQUIRE(std::holds_alternative<Timeline>(outcome));
  return std::get<Timeline>(outcome).end;
}

// Every layer on a random rank, none of which stays without.
Lists random_lists(std::mt19937_64& random, std::int64_t layers, std::int64_t ranks) {
  Lists lists(static_cast<std::size_t>(ranks));
  for (std::int64_t layer = 0; layer < layers; ++layer)
    lists[layer < ranks ? static_cast<std::size_t>(layer) : random() % lists.size()].push_back(layer);
  std::shuffle(lists.begin(), lists.end(), random);
  for (auto& list : lists) std::shuffle(list.begin(), list.end(), random);
  return lists;
}

// Schedules that order chunks of one copy of the model, and do not lay them themselves.
std::vector<ScheduleKind> chunked_schedules() {
  std::vector<ScheduleKind> kinds;
  for (const auto& kind : enum_names<ScheduleKind>) {
    const ScheduleRow& row = schedule_row(kind.value);
    const bool lays_itself = kind.value == ScheduleKind::searched;
    if (row.layout != StageLayout::bidirectional && row.most_chunks != 1 && !lays_itself) kinds.push_back(kind.value);
  }
  return kinds;
}

std::string refusal(std::int64_t layers, const Strategy& strategy) {
  return stage_refusal(layers, strategy).value_or("");
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("runs of layers take the places of their ranks in the order of the model") {
  // Three ranks in loops: places 0 1 2 are chunk 0, 3 4 5 chunk 1. Layers 0-3 lie on rank 0, 4-8 on rank 2 (place 2),
  // 9-11 on rank 0 again (place 3), 12 on rank 1 (place 4).
  const Lists lists = {{9, 10, 11, 0, 1, 2, 3}, {12}, {4, 5, 6, 7, 8}};
  CHECK(fewest_chunks(listed(lists, ScheduleKind::interleaved, 2), StageLayout::loop) == 2);
  CHECK(layers_by_place(listed(lists, ScheduleKind::interleaved, 2)) == std::vector<std::int64_t>{4, 0, 5, 3, 1, 0});
  // In waves: 0 1 2, 2 1 0, 0 1 2, ...: rank 0's second run has place 5, rank 1's place 7.
  CHECK(fewest_chunks(listed(lists, ScheduleKind::hanayo, 4), StageLayout::wave) == 3);
  CHECK(layers_by_place(listed(lists, ScheduleKind::hanayo, 4)) ==
        std::vector<std::int64_t>{4, 0, 5, 0, 0, 3, 0, 1, 0, 0, 0, 0});
}

TEST_CASE("lists that say what the schedule does anyway change nothing") {
  const Model model = testing::tiny_gpt(12);
  for (const ScheduleKind kind : chunked_schedules()) {
    const ScheduleRow& row = schedule_row(kind);
    const std::int64_t chunks = row.most_chunks == 0 ? 2 : row.most_chunks;
    Strategy plain = listed(Lists(3), kind, chunks);
    plain.rank_layers.clear();
    Strategy lists = listed(Lists(3), kind, chunks);
    ScheduleShape shape;
    shape.ranks = 3;
    shape.chunks = chunks;
    for (std::int64_t layer = 0; layer < 12; ++layer)
      lists.rank_layers[static_cast<std::size_t>(place_of(row.layout, shape, layer / (12 / (3 * chunks))).rank)]
          .push_back(layer);
    CAPTURE(name_of(kind));
    // A wave turns on one rank, whose two stages are one run: the order of the same layers is then another.
    if (row.layout == StageLayout::wave) {
      CHECK_FALSE(stage_refusal(12, lists).has_value());
      continue;
    }
    shape.micro_batches = 6;
    const std::int64_t micro_batches = fitting_micro_batches(kind, shape);
    const auto one = lowered(model, plain, micro_batches);
    const auto other = lowered(model, lists, micro_batches);
    REQUIRE(std::holds_alternative<Lowering>(one));
    REQUIRE(std::holds_alternative<Lowering>(other));
    CHECK(makespan(std::get<Lowering>(one), times_by_layer(std::get<Lowering>(one), model)) ==
          makespan(std::get<Lowering>(other), times_by_layer(std::get<Lowering>(other), model)));
  }
}

TEST_CASE("one micro-batch walks through the layers wherever they lie") {
  // Forward 1 and backward 2 a layer and one micro-batch: 3 x 12 one after another, whatever the ranks and the order.
  std::mt19937_64 random(17);
  const Model model = testing::tiny_gpt(12);
  for (int round = 0; round < 20; ++round) {
    Strategy strategy =
        listed(random_lists(random, 12, 2 + static_cast<std::int64_t>(random() % 3)), ScheduleKind::looped_bfs, 1);
    strategy.virtual_stages = fewest_chunks(strategy, StageLayout::loop);
    const auto outcome = lowered(model, strategy, 1);
    REQUIRE(std::holds_alternative<Lowering>(outcome));
    const auto& lowering = std::get<Lowering>(outcome);
    CHECK(makespan(lowering, times_by_layer(lowering, model)) == Time::from_picoseconds(36'000));
  }
}

TEST_CASE("every schedule with chunks runs any lists, each layer with every micro-batch once") {
  std::mt19937_64 random(18);
  for (int round = 0; round < 60; ++round)
    for (const ScheduleKind kind : chunked_schedules()) {
      const std::int64_t layers = 4 + static_cast<std::int64_t>(random() % 9);
      const std::int64_t ranks = 2 + static_cast<std::int64_t>(random() % 3);
      const Model model = testing::tiny_gpt(layers);
      const ScheduleRow& row = schedule_row(kind);
      Strategy strategy = listed(random_lists(random, layers, ranks), kind, row.least_chunks);
      strategy.virtual_stages = std::max(row.least_chunks, fewest_chunks(strategy, row.layout));
      if (row.least_chunks == 2) strategy.virtual_stages += strategy.virtual_stages % 2;
      CAPTURE(name_of(kind), layers, ranks, strategy.virtual_stages);
      if (row.most_chunks > 0 && strategy.virtual_stages > row.most_chunks) {
        strategy.virtual_stages = row.most_chunks;
        CHECK(has(refusal(layers, strategy), "schedule interleaved and virtual_stages"));
        continue;
      }
      ScheduleShape shape;
      shape.ranks = ranks;
      shape.chunks = strategy.virtual_stages;
      shape.micro_batches = 4 + static_cast<std::int64_t>(random() % 9);
      const std::int64_t micro_batches = fitting_micro_batches(kind, shape);
      const auto outcome = lowered(model, strategy, micro_batches);
      REQUIRE(std::holds_alternative<Lowering>(outcome));
      const auto& lowering = std::get<Lowering>(outcome);
      makespan(lowering, times_by_layer(lowering, model));
      double forwards = 0;
      double parameters = 0;
      for (const Program& program : lowering.graph.programs)
        for (const Task& task : program.tasks) {
          if (task.kind != TaskKind::forward) continue;
          for (const LayerRun& run : std::get<ComputeWork>(lowering.works[static_cast<std::size_t>(task.work)]).runs)
            if (model.blocks[static_cast<std::size_t>(run.block)].role == BlockRole::layer) forwards += run.count;
        }
      for (const double share : lowering.parameters) parameters += share;
      CHECK(forwards == static_cast<double>(layers * micro_batches));
      CHECK(parameters >= parameter_count(model));
    }
}

TEST_CASE("lists that lay no model say what would do") {
  const auto with = [](const Lists& lists, ScheduleKind kind = ScheduleKind::interleaved, std::int64_t chunks = 4) {
    return listed(lists, kind, chunks);
  };
  CHECK(refusal(6, with({{0, 1, 5}, {2, 3, 4}})).empty());
  CHECK(has(refusal(6, with({{0, 1, 5}, {2, 4}})), "leaves out 3 of 6 layers; 3 on rank 1 would do"));
  CHECK(has(refusal(8, with({{0, 1, 5}, {2, 3, 4}})), "leaves out 6-7 of 8 layers; 6-7 on rank 0 would do"));
  CHECK(has(refusal(6, with({{0, 1, 5}, {2, 3, 4, 5}})), "layer 5 on rank 0 and on rank 1; one of them"));
  CHECK(has(refusal(6, with({{0, 1, 0, 5}, {2, 3, 4}})), "layer 0 on rank 0 and on rank 0"));
  CHECK(has(refusal(6, with({{0, 1, 6}, {2, 3, 4, 5}})), "names layer 6; layers 0 to 5 would do"));
  CHECK(has(refusal(6, with({{0, 1, 2, 3, 4, 5}, {}})), "gives rank 1 no layer"));
  Strategy three = with({{0, 1}, {2, 3}, {4, 5}});
  three.mesh.pipeline = 2;
  CHECK(has(refusal(6, three), "lists 3 ranks, not the 2 of pipeline_parallel; pipeline_parallel 3 would do"));
  CHECK(has(refusal(6, with({{0, 1, 5}, {2, 3, 4}}, ScheduleKind::one_f_one_b, 1)),
            "schedule interleaved and virtual_stages 2 would do"));
  CHECK(has(refusal(6, with({{0, 2, 4}, {1, 3, 5}}, ScheduleKind::interleaved, 2)), "virtual_stages 3 would do"));
  CHECK(has(refusal(6, with({{0, 2, 4}, {1, 3, 5}}, ScheduleKind::hanayo, 2)), "virtual_stages 6 would do"));
  CHECK(has(refusal(6, with({{0, 1, 5}, {2, 3, 4}}, ScheduleKind::chimera, 2)), "schedule interleaved would do"));
  CHECK(has(refusal(6, with({{0, 1, 5}, {2, 3, 4}}, ScheduleKind::searched)), "schedule interleaved would do"));
  Strategy both = with({{0, 1, 5}, {2, 3, 4}});
  both.last_stage_layers = 1;
  CHECK(has(refusal(6, both), "rank_layers alone would do"));
}
