#include "strategies/pipeline/vocabulary.h"

#include <fmt/format.h>

#include <map>
#include <random>

#include "sim/engine/memory_ledger.h"
#include "sim/interop/pipeline_csv.h"
#include "strategies/pipeline/timing.h"
#include "tests/catch.h"
#include "tests/strategies/lowered.h"
#include "tests/strategies/schedule_shapes.h"

using namespace echelon;
using testing::shape_of;

namespace {

constexpr auto methods =
    std::to_array({VocabularyParallel::vocab_1, VocabularyParallel::vocab_2, VocabularyParallel::interlaced});

// Backward passes of two forwards; each product of the output layer takes `output`.
ScheduleCosts costs_of(double output, double communication = 0) {
  ScheduleCosts costs;
  costs.stages = {{1, 1, 1}};
  costs.communication = communication;
  costs.output = {output, output, output};
  return costs;
}

template <class Check>
void for_random_schedules(std::uint64_t seed, const Check& check) {
  std::mt19937_64 random(seed);
  for (int round = 0; round < 60; ++round)
    for (const VocabularyParallel method : methods)
      for (const ScheduleKind kind : {ScheduleKind::one_f_one_b, ScheduleKind::v_half, ScheduleKind::v_min}) {
        const auto ranks = static_cast<std::int64_t>(2 + random() % 7);
        if (vocabulary_refusal(method, kind, ranks)) continue;
        const ScheduleShape shape =
            shape_of(ranks, static_cast<std::int64_t>(1 + random() % 24), kind == ScheduleKind::one_f_one_b ? 1 : 2);
        ScheduleCosts costs = costs_of(static_cast<double>(random() % 40) / 20, static_cast<double>(random() % 3) / 5);
        for (double* time : {&costs.stages[0].forward, &costs.stages[0].input, &costs.stages[0].weight})
          *time = 0.5 + static_cast<double>(random() % 100) / 50;
        CAPTURE(name_of(method), name_of(kind), shape.ranks, shape.micro_batches);
        check(build_vocabulary_schedule(method, kind, shape, costs), costs);
      }
}

double makespan(VocabularyParallel method, ScheduleKind kind, const ScheduleShape& shape, const ScheduleCosts& costs) {
  return timing_of(build_vocabulary_schedule(method, kind, shape, costs), costs).makespan;
}

Strategy divided(VocabularyParallel method, std::int64_t ranks) {
  Strategy strategy = framework_defaults(FrameworkKind::megatron);
  strategy.mesh.pipeline = ranks;
  strategy.vocabulary_parallel = method;
  return strategy;
}

Workload batch_of(std::int64_t sequences) {
  Workload workload;
  workload.global_batch = sequences;
  workload.sequence_length = 32;
  return workload;
}

}  // namespace

TEST_CASE("a divided vocabulary's passes come once on every rank, in order, and none deadlocks") {
  for_random_schedules(21, [](const Schedule& schedule, const ScheduleCosts& costs) {
    for (const RankOrder& order : schedule.ranks) {
      std::map<std::tuple<ActionPart, int, int>, std::vector<Pass>> passes;
      for (const Action& action : order) passes[{action.part, action.chunk, action.micro_batch}].push_back(action.pass);
      CHECK(std::ssize(passes) == schedule.shape.micro_batches * (2 + schedule.shape.chunks));
      for (const auto& [key, list] : passes) {
        CHECK(list.front() == Pass::forward);
        const bool halves = list.size() == 3 && list[1] == Pass::input_gradient && list[2] == Pass::weight_gradient;
        CHECK((halves || (list.size() == 2 && list[1] == Pass::backward)));
      }
    }
    const auto outcome = time_schedule(schedule, costs);
    REQUIRE(std::holds_alternative<ScheduleTiming>(outcome));
    const auto& timing = std::get<ScheduleTiming>(outcome);
    CHECK(timing.makespan >= *std::max_element(timing.work.begin(), timing.work.end()) - 1e-9);
  });
}

TEST_CASE("each barrier keeps one more micro-batch alive; synchronous vocabularies half as many again") {
  // arXiv:2411.05288, section 5.2: p + 2 and p + 1 on the first rank of 1F1B, and 1.5 p where all ranks run the
  // vocabulary at once (appendix B.1).
  for (const std::int64_t p : {2, 3, 4, 8, 16, 32})
    for (const VocabularyParallel method : methods) {
      const std::int64_t m = 3 * p;
      const ScheduleCosts costs = costs_of(0.25);
      const ScheduleTiming timing =
          timing_of(build_vocabulary_schedule(method, ScheduleKind::one_f_one_b, shape_of(p, m), costs), costs);
      CAPTURE(p, name_of(method));
      if (method == VocabularyParallel::interlaced) {
        CHECK(timing.peak[0] == Approx(static_cast<double>(3 * p / 2)).margin(1));
        continue;
      }
      for (std::int64_t rank = 0; rank < p; ++rank)
        CHECK(timing.peak[static_cast<std::size_t>(rank)] ==
              static_cast<double>(std::min(m, p - rank + vocabulary_barriers(method))));
    }
}

TEST_CASE("a divided vocabulary costs 1F1B its own work and no more") {
  // A period is one rank's work of a micro-batch, F + B and three products of the output layer; the bubble is 1F1B's.
  for (const std::int64_t p : {2, 4, 8, 16})
    for (const std::int64_t m : {p, 3 * p, 8 * p + 1})
      for (const VocabularyParallel method : methods)
        for (const double output : {0.1, 0.5, 1.0}) {
          CAPTURE(p, m, name_of(method), output);
          const ScheduleCosts costs = costs_of(output);
          CHECK(makespan(method, ScheduleKind::one_f_one_b, shape_of(p, m), costs) ==
                Approx(static_cast<double>(m) * (3 + 3 * output) + static_cast<double>(p - 1) * 3));
        }
}

TEST_CASE("V-Half and V-Min with a divided vocabulary lose nothing in the steady state") {
  for (const std::int64_t p : {4, 8, 16})
    for (const ScheduleKind kind : {ScheduleKind::v_half, ScheduleKind::v_min})
      for (const VocabularyParallel method : {VocabularyParallel::vocab_1, VocabularyParallel::vocab_2}) {
        CAPTURE(p, name_of(kind), name_of(method));
        ScheduleCosts costs = costs_of(0.2);
        costs.stages = {{0.5, 0.5, 0.5}};
        const auto time = [&](std::int64_t m) { return makespan(method, kind, shape_of(p, m, 2), costs); };
        const double period = (time(12 * p) - time(8 * p)) / static_cast<double>(4 * p);
        CHECK(period == Approx(3 + 3 * 0.2));
      }
}

TEST_CASE("what a divided vocabulary cannot be put into is refused with what would do") {
  const auto refusal = [](VocabularyParallel method, ScheduleKind kind, std::int64_t ranks) {
    return vocabulary_refusal(method, kind, ranks).value();
  };
  CHECK(refusal(VocabularyParallel::vocab_1, ScheduleKind::one_f_one_b, 1).find("none would do") != std::string::npos);
  CHECK(refusal(VocabularyParallel::interlaced, ScheduleKind::v_half, 4).find("for schedule 1f1b, not v_half") !=
        std::string::npos);
  CHECK(refusal(VocabularyParallel::vocab_2, ScheduleKind::gpipe, 4).find("none would do") != std::string::npos);
  CHECK_FALSE(vocabulary_refusal(VocabularyParallel::none, ScheduleKind::gpipe, 1).has_value());
}

TEST_CASE("the divided vocabulary's passes stand in the exported order") {
  const Schedule schedule =
      build_vocabulary_schedule(VocabularyParallel::vocab_2, ScheduleKind::one_f_one_b, shape_of(2, 2), costs_of(0.25));
  CHECK(pipeline_csv(schedule, PipelineCsvForm::compute) ==
        "# vocabulary_parallel: vocab_2\n"
        "0E0,0E1,0F0,0F1,0S0,0T0,0S1,0T1,0B0,0G0,0B1,0G1\n"
        "1E0,1E1,1F0,1S0,1F1,1T0,1S1,1T1,1B0,1B1,1G0,1G1\n");
}

TEST_CASE("an exported order of a divided vocabulary comes back, and runs as the planned one does") {
  for_random_schedules(22, [](const Schedule& schedule, const ScheduleCosts& costs) {
    for (const auto form : {PipelineCsvForm::compute, PipelineCsvForm::communication}) {
      const Schedule again = parse_pipeline_csv(pipeline_csv(schedule, form), "doc");
      CHECK(again.ranks == schedule.ranks);
      CHECK(again.layout == schedule.layout);
      CHECK(again.vocabulary == schedule.vocabulary);
      CHECK(timing_of(again, costs).makespan == timing_of(schedule, costs).makespan);
    }
  });
  const Model model = testing::tiny_gpt(8);
  for (const VocabularyParallel method : methods)
    for (const ScheduleKind kind : {ScheduleKind::one_f_one_b, ScheduleKind::v_half, ScheduleKind::v_min}) {
      if (vocabulary_refusal(method, kind, 4)) continue;
      CAPTURE(name_of(method), name_of(kind));
      Strategy named = divided(method, 4);
      named.schedule = kind;
      named.virtual_stages = kind == ScheduleKind::one_f_one_b ? 1 : 2;
      Strategy given = named;
      const Lowering planned = std::get<Lowering>(lower(model, batch_of(8), named, {4, 8}));
      const ScheduleShape shape = shape_of(4, 8, named.virtual_stages);
      const Schedule schedule = build_vocabulary_schedule(method, kind, shape, costs_of(0.25));
      given.given_schedule = std::make_shared<const Schedule>(schedule);
      given.schedule_file = "s.csv";
      const Lowering lowered = std::get<Lowering>(lower(model, batch_of(8), given, {4, 8}));
      CHECK_FALSE(find_cycle(lowered.graph).has_value());
      CHECK(lowered.parameters == planned.parameters);
      for (std::size_t rank = 0; rank < 4; ++rank)
        CHECK(lowered.graph.programs[rank].tasks.size() == planned.graph.programs[rank].tasks.size());
      given.vocabulary_parallel = VocabularyParallel::none;
      const auto refused = lower(model, batch_of(8), given, {4, 8});
      REQUIRE(std::holds_alternative<Infeasible>(refused));
      CHECK(
          std::get<Infeasible>(refused).reason ==
          fmt::format("vocabulary_parallel none with s.csv, which orders other passes; vocabulary_parallel {} would do",
                      name_of(method)));
    }
}

TEST_CASE("a V whose collectives wait for each other is refused with the circle") {
  // On both ranks the schedule itself can run; but rank 0 begins all collectives, S0's before E1's, and S0 of rank 1
  // stands behind a forward pass that needs E1.
  const Schedule schedule = parse_pipeline_csv(
      "# vocabulary_parallel: vocab_2\n"
      "0E0,0F0,3F0,0S0,0E1,0F1,3F1,0T0,0S1,0T1,3B0,0B0,0G0,3B1,0B1,0G1\n"
      "1E0,1E1,1F0,2F0,1F1,1S0,2F1,1T0,1S1,1T1,2B0,1B0,1G0,2B1,1B1,1G1\n",
      "s.csv");
  Strategy strategy = divided(VocabularyParallel::vocab_2, 2);
  strategy.virtual_stages = 2;
  strategy.schedule_file = "s.csv";
  strategy.given_schedule = std::make_shared<const Schedule>(schedule);
  const auto outcome = lower(testing::tiny_gpt(4), batch_of(2), strategy, {2, 8});
  REQUIRE(std::holds_alternative<Infeasible>(outcome));
  CHECK(std::get<Infeasible>(outcome).reason.find("s.csv makes collectives") == 0);
}

TEST_CASE("every rank holds its share of the tables and runs it") {
  // 4 layers, hidden 64, vocabulary 128, untied: embedding and output projection of 8192 elements each.
  TransformerSpec spec = testing::gpt_shape(4, 64, 4, 128, 32);
  spec.tied_embeddings = false;
  const Model model = build_transformer(spec);
  const auto lowered = [&](VocabularyParallel method) {
    return std::get<Lowering>(lower(model, batch_of(8), divided(method, 4), {4, 8}));
  };
  const Lowering ends = lowered(VocabularyParallel::none);
  for (const VocabularyParallel method : methods) {
    CAPTURE(name_of(method));
    const Lowering shared = lowered(method);
    // The position table stays on the first stage, the final norm on the last.
    const double layer = ends.parameters[1];
    CHECK(shared.parameters[1] == layer + 2 * 8192.0 / 4);
    CHECK(shared.parameters[0] == ends.parameters[0] - 8192 + 2 * 8192.0 / 4);
    CHECK(shared.parameters[3] == ends.parameters[3] - 8192 + 2 * 8192.0 / 4);
    std::map<TaskKind, int> tasks;
    for (const Program& program : shared.graph.programs)
      for (const Task& task : program.tasks) ++tasks[task.kind];
    for (const TaskKind kind : {TaskKind::output_forward, TaskKind::output_backward, TaskKind::embedding_forward,
                                TaskKind::embedding_backward})
      CHECK(tasks[kind] == 4 * 8);
    // Broadcast of hidden states, sums, embeddings, their gradient; with two barriers the input gradients apart.
    CHECK(tasks[TaskKind::vocabulary_exchange] == 8 * (method == VocabularyParallel::vocab_2 ? 4 : 5));
    CHECK_FALSE(find_cycle(shared.graph).has_value());
  }
}

TEST_CASE("a strategy that a divided vocabulary does not go with is refused") {
  Strategy strategy = divided(VocabularyParallel::vocab_1, 4);
  const auto reason = [&] {
    const auto outcome = lower(testing::tiny_gpt(4), batch_of(8), strategy, {strategy.mesh.ranks(), 8});
    return std::holds_alternative<Infeasible>(outcome) ? std::get<Infeasible>(outcome).reason : std::string();
  };
  CHECK(reason().empty());
  strategy.sharding = Sharding::zero3;
  CHECK(reason().find("sharding zero1 would do") != std::string::npos);
  strategy.sharding = Sharding::none;
  strategy.offload.optimizer = OffloadTarget::host;
  CHECK(reason().find("would do") != std::string::npos);
  strategy.offload = {};
  strategy.schedule = ScheduleKind::gpipe;
  CHECK(reason().find("vocabulary_parallel none would do") != std::string::npos);
}

TEST_CASE("a divided vocabulary for 64 ranks and 1,000 micro-batches is there") {
  for (const VocabularyParallel method : methods)
    CHECK(makespan(method, ScheduleKind::one_f_one_b, shape_of(64, 1000), costs_of(0.25)) > 3750);
}
