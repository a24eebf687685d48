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

std::vector<Change> changes_of(const Program& program, const std::vector<TaskTime>& times) {
  std::vector<Change> changes;
  changes.reserve(program.effects.size() * 3);
  for (std::size_t i = 0; i < program.tasks.size(); ++i) {
    const std::size_t end =
        i + 1 < program.tasks.size() ? static_cast<std::size_t>(program.tasks[i + 1].effects) : program.effects.size();
    for (auto e = static_cast<std::size_t>(program.tasks[i].effects); e < end; ++e) {
      const MemoryEffect& effect = program.effects[e];
      changes.push_back({times[i].start, false, effect.category, effect.at_start + effect.transient});
      changes.push_back({times[i].end, true, effect.category, effect.at_end - effect.transient});
    }
  }
  const auto earlier = [](const Change& a, const Change& b) {
    return a.time != b.time ? a.time < b.time : a.at_end && !b.at_end;
  };
  // Those of one stream stand in order already.
  if (!std::is_sorted(changes.begin(), changes.end(), earlier))
    std::stable_sort(changes.begin(), changes.end(), earlier);
  return changes;
}

}  // namespace

Bytes MemoryPeak::total() const {
  Bytes sum;
  for (const Bytes& bytes : by_category) sum += bytes;
  return sum;
}

MemoryPeak memory_peak(const Program& program, const std::vector<TaskTime>& times,
                       const std::array<Bytes, memory_category_count>& resident) {
  std::array<Bytes, memory_category_count> held = resident;
  MemoryPeak peak{held, Time()};
  Bytes total = peak.total();
  Bytes highest = total;
  for (const Change& change : changes_of(program, times)) {
    held[static_cast<std::size_t>(change.category)] += change.amount;
    total += change.amount;
    if (total <= highest) continue;
    highest = total;
    peak = {held, change.time};
  }
  return peak;
}

}  // namespace echelon
