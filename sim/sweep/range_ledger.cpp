#include "sim/sweep/range_ledger.h"

#include <algorithm>
#include <utility>

#include "sim/base/error.h"

namespace echelon {

RangeLedger::RangeLedger(std::int64_t first, std::int64_t size, std::int64_t chunk, std::size_t window)
    : given_(std::min(first, size)), size_(size), chunk_(chunk), window_(window) {
  SIM_CHECK(chunk > 0 && window > 0, "a ledger of chunks of {} and a window of {}", chunk, window);
}

std::optional<PointRange> RangeLedger::take() {
  if (given_ < size_ && ranges_.size() < window_) {
    const PointRange range{given_, std::min(size_, given_ + chunk_)};
    given_ = range.last;
    ranges_.push_back({{range, {}}, 1, false});
    return range;
  }
  Entry* chosen = nullptr;
  for (Entry& entry : ranges_)
    if (!entry.back && (chosen == nullptr || entry.copies < chosen->copies)) chosen = &entry;
  if (chosen == nullptr) return std::nullopt;
  ++chosen->copies;
  return chosen->result.range;
}

// Ranges are one behind the other, all of `chunk_` but the last.
std::optional<std::size_t> RangeLedger::place_of(const PointRange& range) const {
  if (ranges_.empty() || range.first < ranges_.front().result.range.first) return std::nullopt;
  const auto place = static_cast<std::size_t>((range.first - ranges_.front().result.range.first) / chunk_);
  SIM_CHECK(place < ranges_.size() && ranges_[place].result.range.first == range.first, "range {} was not given out",
            range.first);
  return place;
}

bool RangeLedger::is_back(const PointRange& range) const {
  const auto place = place_of(range);
  return !place || ranges_[*place].back;
}

void RangeLedger::put(RangeRows result) {
  const auto place = place_of(result.range);
  if (!place || ranges_[*place].back) return;
  ranges_[*place].result = std::move(result);
  ranges_[*place].back = true;
}

std::optional<RangeRows> RangeLedger::next() {
  if (ranges_.empty() || !ranges_.front().back) return std::nullopt;
  RangeRows result = std::move(ranges_.front().result);
  ranges_.pop_front();
  return result;
}

}  // namespace echelon
