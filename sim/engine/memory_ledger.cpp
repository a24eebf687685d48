#include "sim/engine/memory_ledger.h"

#include <algorithm>
#include <optional>

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

// Every effect with the time of its task, in the order of the program, until `visit` returns false.
template <class Visit>
void for_effects(const Program& program, const std::vector<TaskTime>& times, const Visit& visit) {
  for (std::size_t i = 0; i < program.tasks.size(); ++i) {
    const std::size_t end =
        i + 1 < program.tasks.size() ? static_cast<std::size_t>(program.tasks[i + 1].effects) : program.effects.size();
    for (auto e = static_cast<std::size_t>(program.tasks[i].effects); e < end; ++e)
      if (!visit(program.effects[e], times[i])) return;
  }
}

Bytes change_at_start(const MemoryEffect& effect) {
  return effect.at_start + effect.transient;
}
Bytes change_at_end(const MemoryEffect& effect) {
  return effect.at_end - effect.transient;
}

std::vector<Change> sorted_changes(const Program& program, const std::vector<TaskTime>& times) {
  std::vector<Change> changes;
  changes.reserve(program.effects.size() * 2);
  for_effects(program, times, [&](const MemoryEffect& effect, const TaskTime& time) {
    changes.push_back({time.start, false, effect.category, change_at_start(effect)});
    changes.push_back({time.end, true, effect.category, change_at_end(effect)});
    return true;
  });
  std::stable_sort(changes.begin(), changes.end(), earlier);
  return changes;
}

// The sum of what is held, and how many changes it takes to its highest.
struct Climb {
  Bytes total;
  Bytes highest = total;
  std::size_t changes = 0;
  std::size_t to_peak = 0;

  void enter(Bytes amount) {
    ++changes;
    total += amount;
    if (total <= highest) return;
    highest = total;
    to_peak = changes;
  }
};

// Where effects follow one another, as those of one stream do: how many changes it takes to the peak. The sum alone is
// less work than the categories.
std::optional<std::size_t> climb_in_order(const Program& program, const std::vector<TaskTime>& times, Bytes resident) {
  Climb climb{resident};
  Time last;
  bool in_order = true;
  for_effects(program, times, [&](const MemoryEffect& effect, const TaskTime& time) {
    in_order = time.start >= last && time.end > time.start;
    last = time.end;
    climb.enter(change_at_start(effect));
    climb.enter(change_at_end(effect));
    return in_order;
  });
  return in_order ? std::optional(climb.to_peak) : std::nullopt;
}

}  // namespace

Bytes MemoryPeak::total() const {
  Bytes sum;
  for (const Bytes& bytes : by_category) sum += bytes;
  return sum;
}

MemoryPeak memory_peak(const Program& program, const std::vector<TaskTime>& times,
                       const std::array<Bytes, memory_category_count>& resident) {
  MemoryPeak peak{resident, Time()};
  const auto hold = [&peak](MemoryCategory category, Bytes amount, Time when) {
    peak.by_category[static_cast<std::size_t>(category)] += amount;
    peak.when = when;
  };
  if (const auto to_peak = climb_in_order(program, times, peak.total())) {
    std::size_t left = *to_peak;
    for_effects(program, times, [&](const MemoryEffect& effect, const TaskTime& time) {
      if (left > 0) hold(effect.category, change_at_start(effect), time.start);
      if (left > 1) hold(effect.category, change_at_end(effect), time.end);
      left -= std::min<std::size_t>(left, 2);
      return left > 0;
    });
    return peak;
  }
  const std::vector<Change> changes = sorted_changes(program, times);
  Climb climb{peak.total()};
  for (const Change& change : changes) climb.enter(change.amount);
  for (std::size_t i = 0; i < climb.to_peak; ++i) hold(changes[i].category, changes[i].amount, changes[i].time);
  return peak;
}

}  // namespace echelon
