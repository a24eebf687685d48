#include "sim/app/statistics.h"

#include <cmath>

#include "tests/catch.h"

using namespace echelon;

TEST_CASE("percentiles interpolate between the closest ranks") {
  // Position 0.9 * 3 = 2.7 of {1, 2, 3, 4}: 3 + 0.7 * (4 - 3).
  CHECK(*percentile({4, 1, 3, 2}, 0.9) == Approx(3.7));
  CHECK(*median({4, 1, 3, 2}) == Approx(2.5));
  CHECK(*median({7, 1, 3}) == Approx(3));
  CHECK(*percentile({5}, 0.9) == Approx(5));
  CHECK_FALSE(median({}));
  CHECK(*mean({1, 2, 6}) == Approx(3));
  CHECK_FALSE(mean({}));
}

TEST_CASE("Kendall's tau-b") {
  // Of six pairs only (2,3)-(3,2) disagrees: (5 - 1) / 6.
  CHECK(*kendall_tau_b({{1, 1}, {2, 3}, {3, 2}, {4, 4}}) == Approx(4.0 / 6));
  // One pair tied in x, none in y; the other two agree: 2 / sqrt((3 - 1) * 3).
  CHECK(*kendall_tau_b({{1, 1}, {1, 2}, {2, 3}}) == Approx(2 / std::sqrt(6.0)));
  CHECK(*kendall_tau_b({{1, 9}, {2, 5}, {3, 1}}) == Approx(-1));
  CHECK_FALSE(kendall_tau_b({{1, 1}, {1, 2}}));
  CHECK_FALSE(kendall_tau_b({{1, 1}}));
}
