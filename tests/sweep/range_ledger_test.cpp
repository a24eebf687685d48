#include "sim/sweep/range_ledger.h"

#include <limits>
#include <random>

#include "sim/sweep/row_message.h"
#include "tests/catch.h"
#include "tests/sweep/small_space.h"

using namespace echelon;

namespace {

RangeRows computed(const PointRange& range) {
  RangeRows result{range, {}};
  for (std::int64_t point = range.first; point < range.last; ++point) {
    Row row;
    row.point = point;
    result.rows.push_back(row);
  }
  return result;
}

}  // namespace

TEST_CASE("whatever the order of results, every point leaves once and in order") {
  std::mt19937 random(20261121);
  for (int round = 0; round < 200; ++round) {
    const auto first = static_cast<std::int64_t>(random() % 50);
    const std::int64_t size = first + static_cast<std::int64_t>(random() % 400);
    const std::size_t window = 1 + random() % 12;
    RangeLedger ledger(first, size, 1 + static_cast<std::int64_t>(random() % 20), window);
    std::vector<PointRange> under_way;
    std::int64_t next = first;
    while (!ledger.finished()) {
      // Some take, some bring back, in any order; a stuck one never brings back.
      if (under_way.empty() || random() % 2 == 0)
        if (const auto range = ledger.take()) {
          CHECK(range->first < next + static_cast<std::int64_t>(window) * 20);
          if (random() % 10 != 0) under_way.push_back(*range);
        }
      if (!under_way.empty() && random() % 2 == 0) {
        const std::size_t which = random() % under_way.size();
        ledger.put(computed(under_way[which]));
        CHECK(ledger.is_back(under_way[which]));
        under_way.erase(under_way.begin() + static_cast<std::ptrdiff_t>(which));
      }
      while (const auto result = ledger.next())
        for (const Row& row : result->rows) CHECK(row.point == next++);
    }
    CHECK(next == size);
    CHECK(!ledger.take());
  }
}

TEST_CASE("a range that is not back goes to another, the one least given out first") {
  RangeLedger ledger(0, 40, 10, 3);
  CHECK(ledger.take()->first == 0);  // to one who is stuck
  CHECK(ledger.take()->first == 10);
  CHECK(ledger.take()->first == 20);
  CHECK(ledger.take()->first == 0);  // the window is full
  CHECK(ledger.take()->first == 10);
  ledger.put(computed({10, 20}));
  ledger.put(computed({20, 30}));
  CHECK(!ledger.next());  // 0 to 10 comes before
  CHECK(ledger.take()->first == 0);
  ledger.put(computed({0, 10}));
  ledger.put(computed({0, 10}));  // the stuck one's, at last
  CHECK(ledger.next()->range.first == 0);
  CHECK(ledger.take()->first == 30);
}

TEST_CASE("rows survive being a message") {
  const Space space(test::parsed(test::document_of(test::small_axes)));
  const double unknown = std::numeric_limits<double>::quiet_NaN();
  RangeRows sent{{3, 9}, {}};
  sent.rows.push_back({4, space.digits(4), PointStatus::ok, "", {1.5, unknown, 1e-300}});
  sent.rows.push_back({7, space.digits(7), PointStatus::infeasible, "because, \"so\"", {}});
  const RangeRows got = rows_of_message(message_of(sent), space);
  CHECK(got.range.first == 3);
  CHECK(got.range.last == 9);
  REQUIRE(got.rows.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) CHECK(csv_line(space, got.rows[i]) == csv_line(space, sent.rows[i]));
  CHECK_THROWS_AS(rows_of_message(message_of(sent).substr(0, 60), space), InternalError);
}
