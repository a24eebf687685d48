#include "strategies/pipeline/schedule.h"

#include <map>
#include <random>
#include <set>

#include "tests/catch.h"

using namespace echelon;

namespace {

// Every micro-batch goes forward once through every chunk and back once, forward before backward, I before W.
void check_complete(const RankOrder& order, const ScheduleShape& shape) {
  std::map<std::pair<int, int>, int> state;  // 1 forward, 2 input gradient, 3 done
  for (const Action& action : order) {
    int& now = state[{action.chunk, action.micro_batch}];
    switch (action.pass) {
      case Pass::forward:
        CHECK(now == 0);
        now = 1;
        break;
      case Pass::input_gradient:
        CHECK(now == 1);
        now = 2;
        break;
      case Pass::weight_gradient:
        CHECK(now == 2);
        now = 3;
        break;
      case Pass::backward:
        CHECK(now == 1);
        now = 3;
        break;
    }
  }
  CHECK(static_cast<std::int64_t>(state.size()) == shape.chunks * shape.micro_batches);
  for (const auto& [key, value] : state) CHECK(value == 3);
}

std::int64_t most_in_flight(const RankOrder& order) {
  std::int64_t live = 0;
  std::int64_t most = 0;
  for (const Action& action : order) {
    if (action.pass == Pass::forward) most = std::max(most, ++live);
    if (action.pass == Pass::backward || action.pass == Pass::input_gradient) --live;
  }
  return most;
}

}  // namespace

TEST_CASE("every schedule is complete and ordered") {
  std::mt19937_64 random(11);
  for (int round = 0; round < 60; ++round) {
    const auto p = 1 + static_cast<std::int64_t>(random() % 8);
    const auto m = p * (1 + static_cast<std::int64_t>(random() % 5));
    for (const auto& kind : enum_names<ScheduleKind>) {
      const ScheduleShape shape{p, m,
                                schedule_row(kind.value).many_chunks ? 1 + static_cast<std::int64_t>(random() % 3) : 1};
      for (std::int64_t rank = 0; rank < p; ++rank) check_complete(schedule_row(kind.value).order(shape, rank), shape);
    }
  }
}

TEST_CASE("micro-batches in flight") {
  // arXiv:2006.09503: 1F1B keeps min(m, p - r); GPipe keeps all m.
  const ScheduleShape shape{4, 8, 1};
  for (std::int64_t rank = 0; rank < 4; ++rank) {
    CHECK(most_in_flight(one_f_one_b_order(shape, rank)) == 4 - rank);
    CHECK(most_in_flight(gpipe_order(shape, rank)) == 8);
  }
  // arXiv:2205.05198, section 4.2.3: interleaving keeps p v + p - 1 chunks on the first rank: 4 x 2 + 3 = 11.
  CHECK(most_in_flight(interleaved_order({4, 8, 2}, 0)) == 11);
}

TEST_CASE("a shape that a schedule cannot have is refused with one that it can") {
  CHECK(chunk_refusal(ScheduleKind::one_f_one_b, 2).value().find("virtual_stages 1 would do") != std::string::npos);
  CHECK_FALSE(chunk_refusal(ScheduleKind::interleaved, 2).has_value());
  CHECK(fitting_micro_batches(ScheduleKind::interleaved, {4, 10, 2}) == 8);
  CHECK(fitting_micro_batches(ScheduleKind::interleaved, {4, 3, 2}) == 4);
  CHECK(fitting_micro_batches(ScheduleKind::interleaved, {4, 8, 2}) == 8);
  CHECK(fitting_micro_batches(ScheduleKind::one_f_one_b, {4, 3, 1}) == 3);
}
