// Schedules that papers describe by their bubble and memory: V-Half and V-Min, Chimera, Hanayo.
#include <algorithm>

#include "strategies/pipeline/timing.h"
#include "tests/catch.h"
#include "tests/strategies/schedule_shapes.h"

using namespace echelon;
using testing::costs_of;
using testing::shape_of;

TEST_CASE("activations of V-Half and V-Min are a half and a third of 1F1B's") {
  // arXiv:2405.15362, section 3: of p micro-batches about p / 2 + 1 and p / 3 + 2 at most.
  for (std::int64_t p = 2; p <= 16; ++p) {
    CAPTURE(p);
    const auto peak = [p](ScheduleKind kind) {
      const ScheduleTiming timing = timing_of(build_schedule(kind, shape_of(p, 4 * p, 2)), {});
      return *std::max_element(timing.peak.begin(), timing.peak.end()) / 2;
    };
    CHECK(peak(ScheduleKind::v_half) <= static_cast<double>(p) / 2 + 1.5);
    CHECK(peak(ScheduleKind::v_min) <= static_cast<double>(p) / 3 + 2);
  }
}

TEST_CASE("V-Half has half of 1F1B's bubble") {
  // arXiv:2405.15362, section 3.
  const ScheduleCosts halves = costs_of(0.5, 0.5, 0.5);
  for (std::int64_t p = 2; p <= 16; ++p) {
    CAPTURE(p);
    const double makespan =
        timing_of(build_schedule(ScheduleKind::v_half, shape_of(p, 4 * p, 2), halves), halves).makespan;
    CHECK(makespan <= static_cast<double>(12 * p) + 1.5 * static_cast<double>(p - 1));
  }
}

TEST_CASE("Chimera's bubbles") {
  // arXiv:2107.06925, table 2: (D - 2) / (2 N + D - 2) of equal passes, whose units leave no bubble between them, and
  // (D - 2) / (3 N / 2 + D - 2) for N = D where a backward pass takes two forwards. Those of further units then leave
  // some (section 3.5), so that the bubble shrinks, but not so far.
  for (const std::int64_t d : {4, 6, 8}) {
    const auto timing = [d](std::int64_t n, const ScheduleCosts& costs) {
      return timing_of(build_schedule(ScheduleKind::chimera, shape_of(d, n, 2), costs), costs);
    };
    const double stages = static_cast<double>(d - 2);
    double before = 1;
    for (const std::int64_t n : {d, 2 * d, 4 * d, 8 * d}) {
      CAPTURE(d, n);
      const double batches = static_cast<double>(n);
      const ScheduleTiming even = timing(n, costs_of(1, 0.5, 0.5));
      CHECK(even.bubble_of_makespan() == Approx(stages / (2 * batches + stages)));
      CHECK(*std::max_element(even.peak.begin(), even.peak.end()) <= static_cast<double>(d));
      const double bubble = timing(n, costs_of(1, 1, 1)).bubble_of_makespan();
      CHECK(bubble < before);
      CHECK(bubble >= stages / (1.5 * batches + stages) - 1e-9);
      before = bubble;
    }
    CHECK(timing(d, costs_of(1, 1, 1)).bubble_of_makespan() ==
          Approx(stages / (1.5 * static_cast<double>(d) + stages)));
  }
}

TEST_CASE("Hanayo's bubble does not grow with micro-batches, nor beyond 1F1B's") {
  // arXiv:2308.15762 runs units of p micro-batches; what it says of a unit holds for each. Times of 1 a rank for each
  // of F, I and W.
  for (const std::int64_t p : {2, 3, 4, 5, 8, 16})
    for (const std::int64_t chunks : {2, 4, 8}) {
      const double each = 1.0 / static_cast<double>(chunks);
      const ScheduleCosts costs = costs_of(each, each, each);
      const auto timing = [&](std::int64_t m) {
        return timing_of(build_schedule(ScheduleKind::hanayo, shape_of(p, m, chunks), costs), costs);
      };
      const double unit = timing(p).makespan;
      for (const std::int64_t m : {p, p + 1, 2 * p, 3 * p - 1, 4 * p, 8 * p, 16 * p}) {
        CAPTURE(p, chunks, m);
        const ScheduleTiming found = timing(m);
        CHECK(found.makespan <= static_cast<double>((m + p - 1) / p) * unit + 1e-9);
        CHECK(found.makespan <= static_cast<double>(3 * (m + p - 1)) + 1e-9);  // 1F1B's
        CHECK(*std::max_element(found.peak.begin(), found.peak.end()) <= static_cast<double>(p * chunks));
      }
    }
  // sail-sg's 1F1B-V, of the same two chunks and whole backward passes, takes 31.5 with three micro-batches in memory
  // where Hanayo may keep four.
  const ScheduleCosts halves = costs_of(0.5, 0.5, 0.5);
  CHECK(timing_of(build_schedule(ScheduleKind::hanayo, shape_of(4, 8, 2), halves), halves).makespan <= 31.5);
}
