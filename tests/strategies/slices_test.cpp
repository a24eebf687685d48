#include "strategies/pipeline/slices.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "tests/catch.h"
#include "tests/strategies/lowered.h"

using namespace echelon;

namespace {

// Sum of costs + (ranks - 1) * the largest.
double pipeline_cost(const std::vector<std::int64_t>& lengths, std::int64_t ranks, const SliceCost& cost) {
  double sum = 0;
  double most = 0;
  std::int64_t begin = 0;
  for (const std::int64_t length : lengths) {
    sum += cost(begin, length);
    most = std::max(most, cost(begin, length));
    begin += length;
  }
  return sum + static_cast<double>(ranks - 1) * most;
}

// Every way to cut.
double least_by_trial(std::int64_t length, std::int64_t count, std::int64_t grain, std::int64_t ranks,
                      const SliceCost& cost, std::vector<std::int64_t> before = {}) {
  if (count == 1) {
    before.push_back(length);
    return pipeline_cost(before, ranks, cost);
  }
  double least = 1e300;
  for (std::int64_t first = grain; first < length; first += grain) {
    auto next = before;
    next.push_back(first);
    least = std::min(least, least_by_trial(length - first, count - 1, grain, ranks, cost, next));
  }
  return least;
}

}  // namespace

TEST_CASE("slices of equal costs a token are even") {
  const auto linear = [](std::int64_t, std::int64_t length) { return static_cast<double>(length); };
  CHECK(balanced_slices(4096, 4, 64, 8, linear) == std::vector<std::int64_t>{1024, 1024, 1024, 1024});
  CHECK(balanced_slices(100, 1, 7, 8, linear) == std::vector<std::int64_t>{100});
}

TEST_CASE("slices of causal attention shrink towards the end of the sequence") {
  // Attention alone: n tokens behind b cost n (b + n / 2); four equal parts end at 1/2, sqrt(2)/2 and sqrt(3)/2.
  const auto attention = [](std::int64_t begin, std::int64_t length) {
    return static_cast<double>(length) * (static_cast<double>(begin) + static_cast<double>(length) / 2);
  };
  CHECK(balanced_slices(1000, 4, 10, 16, attention) == std::vector<std::int64_t>{500, 210, 160, 130});
}

TEST_CASE("balanced slices are the best of all") {
  std::mt19937_64 random(31);
  for (int round = 0; round < 60; ++round) {
    const double attention = static_cast<double>(random() % 100) / 100;
    const double launch = static_cast<double>(random() % 200);
    const SliceCost cost = [=](std::int64_t begin, std::int64_t length) {
      return launch + static_cast<double>(length) * (1 + attention * static_cast<double>(2 * begin + length) / 40);
    };
    const auto grain = static_cast<std::int64_t>(4 + random() % 5);
    const auto length = static_cast<std::int64_t>(60 + random() % 20);
    const auto count = static_cast<std::int64_t>(1 + random() % 4);
    const auto ranks = static_cast<std::int64_t>(1 + random() % 9);
    CAPTURE(attention, launch, grain, length, count, ranks);
    const auto lengths = balanced_slices(length, count, grain, ranks, cost);
    CHECK(std::ssize(lengths) == count);
    CHECK(std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0}) == length);
    CHECK(pipeline_cost(lengths, ranks, cost) == Approx(least_by_trial(length, count, grain, ranks, cost)));
  }
}

TEST_CASE("slices lie behind each other and make up the sequence") {
  Strategy strategy;
  strategy.sequence_slices = 4;
  CHECK(slice_part(strategy, 64, 3) == SequencePart{0.75, 0.25});
  strategy.slice_lengths = {32, 16, 12, 4};
  CHECK(slice_part(strategy, 64, 0) == SequencePart{0, 0.5});
  CHECK(slice_part(strategy, 64, 3) == SequencePart{60.0 / 64, 4.0 / 64});
}

TEST_CASE("uneven slices are lowered with their own shares") {
  Strategy strategy = framework_defaults(FrameworkKind::megatron);
  strategy.mesh.pipeline = 2;
  strategy.schedule = ScheduleKind::seq1f1b;
  strategy.slice_lengths = {20, 12};
  strategy.sequence_slices = 2;
  Workload workload;
  workload.global_batch = 4;
  workload.sequence_length = 32;
  const Model model = testing::tiny_gpt(2);
  const auto lowering = std::get<Lowering>(lower(model, workload, strategy, {2, 8}));
  double shares = 0;
  for (const Work& work : lowering.works)
    if (const auto* compute = std::get_if<ComputeWork>(&work))
      for (const LayerRun& run : compute->runs)
        if (run.pass == Pass::forward && run.block == model.layers[0]) shares += run.part.share;
  CHECK(shares == Approx(2));  // one layer on each of two stages
  std::vector<double> messages;
  for (const Work& work : lowering.works)
    if (const auto* message = std::get_if<TransferWork>(&work)) messages.push_back(message->bytes / Bytes(1));
  std::sort(messages.begin(), messages.end());
  CHECK(messages == std::vector<double>{12 * 64 * 2, 20 * 64 * 2});
  strategy.slice_lengths = {20, 13};
  const auto refused = lower(model, workload, strategy, {2, 8});
  REQUIRE(std::holds_alternative<Infeasible>(refused));
  CHECK(std::get<Infeasible>(refused).reason.find("33") != std::string::npos);
}
