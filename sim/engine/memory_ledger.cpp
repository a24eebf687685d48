#include "sim/engine/memory_ledger.h"

#include <algorithm>

namespace echelon {

namespace {

struct Change {
  Time time;
  bool at_end = false;  // what ends gives back before what starts at the same instant takes
  MemoryCategory category = MemoryCategory::activations;
  Bytes amount;
};

bool earlier(const Change& a, const Change& b) {
  return a.time != b.time ? a.time < b.time : a.at_end && !b.at_end;
}

// Every task's changes, in the order of the program: at its start and at its end, for each of its effects; until
// `visit` returns false.
template <class Visit>
void for_changes(const Program& program, const std::vector<TaskTime>& times, const Visit& visit) {
  for (std::size_t i = 0; i < program.tasks.size(); ++i) {
    const std::size_t end =
        i + 1 < program.tasks.size() ? static_cast<std::size_t>(program.tasks[i + 1].effects) : program.effects.size();
    for (auto e = static_cast<std::size_t>(program.tasks[i].effects); e < end; ++e) {
      const MemoryEffect& effect = program.effects[e];
      if (!visit(Change{times[i].start, false, effect.category, effect.at_start + effect.transient})) return;
      if (!visit(Change{times[i].end, true, effect.category, effect.at_end - effect.transient})) return;
    }
  }
}

std::vector<Change> sorted_changes(const Program& program, const std::vector<TaskTime>& times) {
  std::vector<Change> changes;
  changes.reserve(program.effects.size() * 2);
  for_changes(program, times, [&](const Change& change) {
    changes.push_back(change);
    return true;
  });
  std::stable_sort(changes.begin(), changes.end(), earlier);
  return changes;
}

// Finds how many changes it takes to the peak: the sum alone, which is less work than the categories.
class Climb {
 public:
  explicit Climb(Bytes resident) : total_(resident), highest_(resident) {}

  bool enter(const Change& change) {
    in_order_ = in_order_ && !earlier(change, last_);
    last_ = change;
    ++changes_;
    total_ += change.amount;
    if (total_ > highest_) {
      highest_ = total_;
      to_peak_ = changes_;
    }
    return in_order_;
  }
  bool in_order() const { return in_order_; }
  std::size_t to_peak() const { return to_peak_; }

 private:
  Bytes total_;
  Bytes highest_;
  Change last_;
  bool in_order_ = true;
  std::size_t changes_ = 0;
  std::size_t to_peak_ = 0;
};

}  // namespace

Bytes MemoryPeak::total() const {
  Bytes sum;
  for (const Bytes& bytes : by_category) sum += bytes;
  return sum;
}

MemoryPeak memory_peak(const Program& program, const std::vector<TaskTime>& times,
                       const std::array<Bytes, memory_category_count>& resident) {
  MemoryPeak peak{resident, Time()};
  std::size_t left = 0;
  const auto hold = [&](const Change& change) {
    if (left-- == 0) return false;
    peak.by_category[static_cast<std::size_t>(change.category)] += change.amount;
    peak.when = change.time;
    return true;
  };
  // Most programs' changes stand in order already.
  Climb climb(peak.total());
  for_changes(program, times, [&](const Change& change) { return climb.enter(change); });
  if (climb.in_order()) {
    left = climb.to_peak();
    for_changes(program, times, hold);
    return peak;
  }
  const std::vector<Change> changes = sorted_changes(program, times);
  Climb again(peak.total());
  for (const Change& change : changes) again.enter(change);
  left = again.to_peak();
  for (const Change& change : changes)
    if (!hold(change)) break;
  return peak;
}

}  // namespace echelon
