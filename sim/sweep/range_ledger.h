// Which ranges of a space were given out to whom computes them, and which are back: results come in any order and leave
// in the order of the points.
//
// No more than a window of ranges is under way, so that memory does not grow with the space. Where the window is full
// or nothing new is left, a range that is not back is given out again: one computer that is slow, or stuck, holds
// nobody up. Whichever result comes first counts; they are the same.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "sim/sweep/row.h"

namespace echelon {

// Combinations [first, last).
struct PointRange {
  std::int64_t first = 0;
  std::int64_t last = 0;
};

struct RangeRows {
  PointRange range;
  std::vector<Row> rows;
};

class RangeLedger {
 public:
  // Of the combinations [first, size), `chunk` in a range, `window` ranges at most under way.
  RangeLedger(std::int64_t first, std::int64_t size, std::int64_t chunk, std::size_t window);

  // A range to compute: a new one, else of those that are not back the one that was given out least often, the first of
  // them. Nothing where all are back.
  std::optional<PointRange> take();

  // Whether nobody needs the range any more.
  bool is_back(const PointRange& range) const;

  // A range that take() gave. One that is back already is dropped.
  void put(RangeRows result);

  // The next range in order, once it is back.
  std::optional<RangeRows> next();

  // Whether next() has given all.
  bool finished() const { return given_ == size_ && ranges_.empty(); }

 private:
  struct Entry {
    RangeRows result;
    int copies = 0;  // given out
    bool back = false;
  };
  std::optional<std::size_t> place_of(const PointRange& range) const;

  std::deque<Entry> ranges_;  // given out and not yet left, in order
  std::int64_t given_;        // combinations below it were given out
  std::int64_t size_;
  std::int64_t chunk_;
  std::size_t window_;
};

}  // namespace echelon
