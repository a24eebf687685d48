#include "strategies/pipeline/schedule.h"

#include <algorithm>
#include <map>
#include <random>
#include <sstream>

#include "sim/interop/csv.h"
#include "strategies/pipeline/timing.h"
#include "tests/catch.h"
#include "tests/strategies/schedule_shapes.h"

using namespace echelon;
using testing::costs_of;
using testing::shape_of;

namespace {

// Every micro-batch (and slice) goes forward once through every chunk and back once, forward before backward, I before
// W.
void check_complete(const Schedule& schedule) {
  const std::int64_t each = stage_micro_batches(schedule.layout, schedule.shape) * schedule.shape.slices;
  for (const RankOrder& order : schedule.ranks) {
    std::map<std::tuple<int, int, int>, int> state;  // 1 forward, 2 input gradient, 3 done
    for (const Action& action : order) {
      int& now = state[{action.chunk, action.micro_batch, action.slice}];
      const bool first = action.pass == Pass::forward;
      CHECK(now == (first ? 0 : action.pass == Pass::weight_gradient ? 2 : 1));
      now = first ? 1 : action.pass == Pass::input_gradient ? 2 : 3;
    }
    CHECK(static_cast<std::int64_t>(state.size()) == schedule.shape.chunks * each);
    for (const auto& [key, value] : state) CHECK(value == 3);
  }
}

// The nearest shape that the schedule can have.
ScheduleShape fitting(ScheduleKind kind, ScheduleShape shape) {
  const ScheduleRow& row = schedule_row(kind);
  shape.chunks = std::max(row.least_chunks, row.most_chunks == 1 ? 1 : shape.chunks);
  if (row.most_chunks > 0) shape.chunks = std::min(shape.chunks, row.most_chunks);
  if (row.least_chunks == 2) shape.chunks -= shape.chunks % 2;
  if (row.layout == StageLayout::bidirectional) {
    shape.ranks += shape.ranks % 2;
    while (rank_refusal(kind, shape)) shape.chunks -= 2;
  }
  shape.micro_batches = fitting_micro_batches(kind, shape);
  return shape;
}

template <class Check>
void for_random_schedules(std::uint64_t seed, const Check& check) {
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t most) { return static_cast<std::int64_t>(random() % most); };
  for (int round = 0; round < 40; ++round)
    for (const auto& kind : enum_names<ScheduleKind>) {
      ScheduleShape shape = fitting(kind.value, shape_of(1 + below(8), 1 + below(24), 1 + below(4)));
      const ScheduleInput reads = schedule_row(kind.value).reads;
      if (reads == ScheduleInput::slices) shape.slices = 1 + below(4);
      if (reads == ScheduleInput::groups && below(2) == 0) {
        shape.group = shape.ranks + below(5);
        shape.micro_batches = fitting_micro_batches(kind.value, shape);
      }
      CAPTURE(kind.name, shape.ranks, shape.micro_batches, shape.chunks, shape.slices, shape.group);
      check(kind.value, shape);
    }
}

ScheduleKind kind_of_golden(const std::string& name) {
  static const std::map<std::string, ScheduleKind> kinds = {{"GPipe", ScheduleKind::gpipe},
                                                            {"1F1B", ScheduleKind::one_f_one_b},
                                                            {"Interleaved1F1B", ScheduleKind::interleaved},
                                                            {"LoopedBFS", ScheduleKind::looped_bfs},
                                                            {"ZB-H1", ScheduleKind::zb_h1},
                                                            {"ZB-H2", ScheduleKind::zb_h2},
                                                            {"InterleavedZeroBubble", ScheduleKind::interleaved_zb},
                                                            {"ZBV_pytorch", ScheduleKind::zb_v},
                                                            {"DualPipeV_serialFB", ScheduleKind::dualpipe_v},
                                                            {"DualPipe_bidir_serialFB", ScheduleKind::dualpipe}};
  return kinds.at(name);
}

// A table of tests/data/pipeline as rows of numbers by column name.
class DataTable {
 public:
  explicit DataTable(const std::string& file)
      : table_(CsvTable::read(std::string(ECHELON_SOURCE_DIR) + "/tests/data/pipeline/" + file)) {}
  std::size_t rows() const { return table_.rows(); }
  std::string text(std::size_t row, const char* name) const {
    return table_.cell(row, table_.require_column(name)).text;
  }
  double number(std::size_t row, const char* name) const {
    return table_.number(row, table_.require_column(name)).value();
  }
  bool blank(std::size_t row, const char* name) const { return text(row, name).empty(); }

 private:
  CsvTable table_;
};

std::vector<double> numbers_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<double> numbers;
  for (double number = 0; stream >> number;) numbers.push_back(number);
  return numbers;
}

}  // namespace

TEST_CASE("every schedule is complete and ordered, and none deadlocks") {
  for_random_schedules(11, [](ScheduleKind kind, const ScheduleShape& shape) {
    const Schedule schedule = build_schedule(kind, shape);
    check_complete(schedule);
    CHECK(std::holds_alternative<ScheduleTiming>(time_schedule(schedule, {})));
  });
}

TEST_CASE("makespans, spans and activations by the definitions") {
  const DataTable table("makespans.csv");
  CHECK(table.rows() == 424);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto number = [&](const char* name) { return table.number(row, name); };
    const ScheduleKind kind = kind_of_golden(table.text(row, "schedule"));
    ScheduleShape shape = shape_of(static_cast<std::int64_t>(number("p")), static_cast<std::int64_t>(number("m")),
                                   static_cast<std::int64_t>(number("chunks_per_rank")));
    if (kind == ScheduleKind::dualpipe) shape.chunks = 2;  // the table counts one chunk for each direction
    CAPTURE(table.text(row, "schedule"), shape.ranks, shape.micro_batches, shape.chunks);
    const ScheduleCosts costs =
        costs_of(number("T_F_chunk"), number("T_I_chunk"), number("T_W_chunk"), number("T_comm"));
    const ScheduleTiming timing = timing_of(build_schedule(kind, shape, costs), costs);
    CHECK(timing.makespan == Approx(number("makespan")).epsilon(1e-12));
    if (!table.blank(row, "max_rank_span")) CHECK(timing.span == Approx(number("max_rank_span")).epsilon(1e-12));
    CHECK(timing.work[0] == Approx(number("work_per_rank")).epsilon(1e-12));
    CHECK(timing.peak == numbers_of(table.text(row, "peak_live_chunks_per_rank")));
  }
}

TEST_CASE("bubble rates of the zero-bubble paper") {
  // arXiv:2401.10241, table 5, from the times of table 9.
  const DataTable table("zero_bubble_rates.csv");
  CHECK(table.rows() == 12);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto number = [&](const char* name) { return table.number(row, name); };
    const ScheduleShape shape =
        shape_of(static_cast<std::int64_t>(number("p")), static_cast<std::int64_t>(number("m")));
    ScheduleCosts costs = costs_of(number("TF"), number("TB"), number("TW"), number("Tcomm"));
    const double scores = table.text(row, "model") == "1.5B" ? 5.0 * 24 * 1024 / 2304 : 5.0 * 32 * 1024 / 4096;
    costs.weight_share = 32 / (34 + scores);  // of 34 + 5 a s / h
    const auto rate = [&](ScheduleKind kind) {
      return timing_of(build_schedule(kind, shape, costs), costs).bubble_of_span();
    };
    CAPTURE(table.text(row, "model"), shape.ranks, shape.micro_batches);
    CHECK(std::abs(rate(ScheduleKind::one_f_one_b) - number("rate_1F1B")) < 0.00006);
    CHECK(std::abs(rate(ScheduleKind::zb_h1) - number("rate_ZBH1")) < 0.00006);
    CHECK(std::abs(rate(ScheduleKind::zb_h2) - number("rate_ZBH2")) < 0.00006);
    CHECK(std::abs(rate(ScheduleKind::zb_1p) - number("rate_ZB1p")) < 0.00006);
    CHECK(std::abs(rate(ScheduleKind::zb_2p) - number("rate_ZB2p")) < 0.00006);
  }
}

TEST_CASE("published makespans of four ranks and eight micro-batches") {
  // Times of 1 a rank for each of F, I and W, so 1/chunks a chunk; 24 is ideal. V-Half and V-Min: sail-sg's own
  // generator gives 26.5 and 29.5.
  const auto makespan = [](ScheduleKind kind, std::int64_t chunks) {
    const double each = 1.0 / static_cast<double>(chunks);
    const ScheduleCosts costs = costs_of(each, each, each);
    return timing_of(build_schedule(kind, shape_of(4, 8, chunks), costs), costs).makespan;
  };
  CHECK(makespan(ScheduleKind::gpipe, 1) == Approx(33));
  CHECK(makespan(ScheduleKind::one_f_one_b, 1) == Approx(33));
  CHECK(makespan(ScheduleKind::interleaved, 2) == Approx(28.5));
  CHECK(makespan(ScheduleKind::interleaved, 4) == Approx(26.25));
  CHECK(makespan(ScheduleKind::looped_bfs, 2) == Approx(28.5));
  CHECK(makespan(ScheduleKind::zb_h1, 1) == Approx(27));
  CHECK(makespan(ScheduleKind::zb_h2, 1) == Approx(27));
  CHECK(makespan(ScheduleKind::interleaved_zb, 2) == Approx(25.5));
  CHECK(makespan(ScheduleKind::zb_v, 2) == Approx(25.5));
  CHECK(makespan(ScheduleKind::v_half, 2) == Approx(26.5));
  CHECK(makespan(ScheduleKind::v_min, 2) == Approx(29.5));
}

TEST_CASE("properties of schedules over random shapes") {
  std::mt19937_64 random(12);
  const auto time = [&] { return 0.5 + static_cast<double>(random() % 100) / 50; };
  for_random_schedules(13, [&](ScheduleKind kind, const ScheduleShape& shape) {
    const ScheduleCosts costs = costs_of(time(), time(), time());
    const Schedule schedule = build_schedule(kind, shape, costs);
    const ScheduleTiming timing = timing_of(schedule, costs);
    // No rank is faster than its work, no iteration than one micro-batch's way through all stages, and messages only
    // delay.
    CHECK(timing.makespan >= *std::max_element(timing.work.begin(), timing.work.end()) - 1e-9);
    const StageCost& cost = costs.stages[0];
    const std::int64_t stages =
        shape.ranks * (schedule.layout == StageLayout::bidirectional ? 1 : schedule.shape.chunks);
    CHECK(timing.makespan >= static_cast<double>(stages) * (cost.forward + cost.input) - 1e-9);
    ScheduleCosts slower = costs;
    slower.communication = time();
    CHECK(timing_of(schedule, slower).makespan >= timing.makespan - 1e-9);
  });
}

TEST_CASE("1F1B, GPipe and their relatives") {
  std::mt19937_64 random(14);
  for (int round = 0; round < 100; ++round) {
    const auto p = 1 + static_cast<std::int64_t>(random() % 8);
    const auto m = p * (1 + static_cast<std::int64_t>(random() % 4));
    const auto v = 2 + static_cast<std::int64_t>(random() % 3);
    CAPTURE(p, m, v);
    const ScheduleCosts costs = costs_of(1, 1.5, 0.5);
    const auto timing = [&](ScheduleKind kind, std::int64_t chunks = 1) {
      ScheduleCosts share = costs;
      for (double* part : {&share.stages[0].forward, &share.stages[0].input, &share.stages[0].weight})
        *part /= static_cast<double>(chunks);
      return timing_of(build_schedule(kind, shape_of(p, m, chunks)), share);
    };
    // Uniform times without messages: the same makespan, (m + p - 1)(F + B); GPipe keeps m, 1F1B min(m, p - r).
    const double expected = static_cast<double>(m + p - 1) * 3;
    CHECK(timing(ScheduleKind::gpipe).makespan == Approx(expected));
    CHECK(timing(ScheduleKind::one_f_one_b).makespan == Approx(expected));
    for (std::int64_t rank = 0; rank < p; ++rank) {
      CHECK(timing(ScheduleKind::gpipe).peak[static_cast<std::size_t>(rank)] == static_cast<double>(m));
      CHECK(timing(ScheduleKind::one_f_one_b).peak[static_cast<std::size_t>(rank)] ==
            static_cast<double>(std::min(m, p - rank)));
    }
    // Interleaving divides the bubble by the chunks; one chunk is 1F1B.
    const double bubble = static_cast<double>(p - 1) * 3;
    CHECK(timing(ScheduleKind::interleaved, v).makespan ==
          Approx(static_cast<double>(m) * 3 + bubble / static_cast<double>(v)));
    CHECK(build_schedule(ScheduleKind::interleaved, shape_of(p, m)).ranks ==
          build_schedule(ScheduleKind::one_f_one_b, shape_of(p, m)).ranks);
    // A whole sequence in one slice is 1F1B too.
    CHECK(build_schedule(ScheduleKind::seq1f1b, shape_of(p, m)).ranks ==
          build_schedule(ScheduleKind::one_f_one_b, shape_of(p, m)).ranks);
    // Without weight gradients to move, a zero-bubble schedule has 1F1B's bubble.
    const ScheduleCosts no_weights = costs_of(1, 2, 0);
    CHECK(timing_of(build_schedule(ScheduleKind::zb_h1, shape_of(p, m)), no_weights).makespan == Approx(expected));
  }
}

TEST_CASE("the searched schedule is never worse than the best named one") {
  std::mt19937_64 random(15);
  const auto below = [&](std::uint64_t most) { return static_cast<std::int64_t>(random() % most); };
  for (int round = 0; round < 30; ++round) {
    ScheduleShape shape = shape_of(2 + below(4), 1 + below(10), 1 + below(2));
    ScheduleCosts costs;
    costs.stages.clear();  // uneven stages, unequal passes
    for (std::int64_t stage = 0; stage < shape.ranks * shape.chunks; ++stage)
      costs.stages.push_back({0.5 + static_cast<double>(below(100)) / 50, 0.5 + static_cast<double>(below(100)) / 50,
                              0.5 + static_cast<double>(below(100)) / 50});
    costs.communication = static_cast<double>(below(10)) / 20;
    const double limit = below(2) == 0 ? 0 : static_cast<double>(shape.ranks);
    costs.memory_limit = limit;
    const ScheduleTiming found = timing_of(build_schedule(ScheduleKind::searched, shape, costs), costs);
    const auto most = [](const ScheduleTiming& timing) {
      return *std::max_element(timing.peak.begin(), timing.peak.end());
    };
    for (const auto& kind : enum_names<ScheduleKind>) {
      if (schedule_row(kind.value).layout == StageLayout::bidirectional) continue;
      if (chunk_refusal(kind.value, shape.chunks) || fitting_micro_batches(kind.value, shape) != shape.micro_batches)
        continue;
      CAPTURE(kind.name, shape.ranks, shape.micro_batches, shape.chunks, limit);
      const ScheduleTiming named = timing_of(build_schedule(kind.value, shape, costs), costs);
      if (limit == 0 || most(named) <= limit * static_cast<double>(shape.chunks))
        CHECK(found.makespan <= named.makespan + 1e-9);
    }
    if (limit > 0) CHECK(most(found) <= limit * static_cast<double>(shape.chunks) + 1e-9);
  }
}

TEST_CASE("the searched schedule takes no memory for nothing") {
  // A last stage with an output layer sets the pace; twice as many micro-batches as ranks are enough to feed it.
  ScheduleCosts costs;
  costs.stages = {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1.3, 1.3, 1.3}};
  const auto timing = [&](double limit) {
    costs.memory_limit = limit;
    return timing_of(build_schedule(ScheduleKind::searched, shape_of(4, 32), costs), costs);
  };
  const ScheduleTiming some = timing(8);
  for (const double limit : {0.0, 100.0}) {
    const ScheduleTiming any = timing(limit);
    CHECK(any.makespan == Approx(some.makespan));
    CHECK(*std::max_element(any.peak.begin(), any.peak.end()) <= 8);
  }
}

TEST_CASE("a list in the wrong order deadlocks, and the circle is shown") {
  // Rank 0 wants to go back before it has gone forward; rank 1 waits for that forward.
  Schedule schedule = build_schedule(ScheduleKind::one_f_one_b, shape_of(2, 2));
  std::swap(schedule.ranks[0][0], schedule.ranks[0][2]);  // F0 F1 B0 B1 -> B0 F1 F0 B1
  const auto outcome = time_schedule(schedule, {});
  REQUIRE(std::holds_alternative<ScheduleDeadlock>(outcome));
  const auto& cycle = std::get<ScheduleDeadlock>(outcome).cycle;
  REQUIRE(!cycle.empty());
  CHECK(cycle[0].rank == 0);
  CHECK(cycle[0].action.pass == Pass::backward);
}

TEST_CASE("a shape that a schedule cannot have is refused with one that it can") {
  CHECK(chunk_refusal(ScheduleKind::one_f_one_b, 2).value().find("virtual_stages 1 would do") != std::string::npos);
  CHECK_FALSE(chunk_refusal(ScheduleKind::interleaved, 2).has_value());
  CHECK(chunk_refusal(ScheduleKind::zb_v, 3).value().find("virtual_stages 2 would do") != std::string::npos);
  CHECK(chunk_refusal(ScheduleKind::hanayo, 5).value().find("virtual_stages 4 would do") != std::string::npos);
  CHECK(rank_refusal(ScheduleKind::dualpipe, shape_of(3, 8, 2)).value().find("pipeline_parallel 4 would do") !=
        std::string::npos);
  CHECK(rank_refusal(ScheduleKind::chimera, shape_of(6, 6, 4)).value().find("virtual_stages 2 would do") !=
        std::string::npos);
  ScheduleShape grouped = shape_of(4, 16, 2);
  grouped.group = 3;
  CHECK(group_refusal(ScheduleKind::interleaved, grouped).value().find("schedule_group 4 would do") !=
        std::string::npos);
  grouped.group = 6;
  CHECK_FALSE(group_refusal(ScheduleKind::interleaved, grouped));
  CHECK(group_refusal(ScheduleKind::gpipe, grouped).value().find("schedule_group 0 would do") != std::string::npos);
  CHECK(fitting_micro_batches(ScheduleKind::interleaved, grouped) == 16);  // 6, 6 and 4
  grouped.micro_batches = 14;
  CHECK(fitting_micro_batches(ScheduleKind::interleaved, grouped) == 12);  // 2 are fewer than the ranks
  grouped.micro_batches = 5;
  CHECK(fitting_micro_batches(ScheduleKind::interleaved, grouped) == 6);
  CHECK(fitting_micro_batches(ScheduleKind::interleaved, shape_of(4, 10, 2)) == 8);
  CHECK(fitting_micro_batches(ScheduleKind::interleaved, shape_of(4, 3, 2)) == 4);
  CHECK(fitting_micro_batches(ScheduleKind::interleaved, shape_of(4, 8, 2)) == 8);
  CHECK(fitting_micro_batches(ScheduleKind::one_f_one_b, shape_of(4, 3)) == 3);
  CHECK(fitting_micro_batches(ScheduleKind::dualpipe, shape_of(4, 9, 2)) == 8);
  CHECK(fitting_micro_batches(ScheduleKind::chimera, shape_of(4, 10, 2)) == 8);
}

TEST_CASE("larger groups keep more micro-batches, and the last may be smaller") {
  // Megatron-LM: rank 0 warms up with (chunks - 1) group + 2 (ranks - 1) forward passes and begins one more.
  for (const std::int64_t group : {4, 5, 8}) {
    ScheduleShape shape = shape_of(4, 24, 2);
    shape.group = group;
    const Schedule schedule = build_schedule(ScheduleKind::interleaved, shape);
    check_complete(schedule);
    CHECK(timing_of(schedule, {}).peak[0] == static_cast<double>(group + 2 * 3 + 1));
    // The first micro-batch of the second chunk comes once the group is through the first.
    CHECK(schedule.ranks[0][static_cast<std::size_t>(group)] == Action{Pass::forward, 1, 0});
  }
}

TEST_CASE("any schedule of 64 ranks and 1,000 micro-batches is there") {
  for (const auto& kind : enum_names<ScheduleKind>) {
    CAPTURE(kind.name);
    const ScheduleShape shape = fitting(kind.value, shape_of(64, 1000));
    CHECK(timing_of(build_schedule(kind.value, shape), {}).makespan > 0);
  }
}
