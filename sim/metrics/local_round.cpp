#include "sim/metrics/local_round.h"

#include <algorithm>

namespace echelon {

namespace {

// Sending or using one fragment.
struct Event {
  std::int64_t step = 0;
  bool sends = false;
  std::size_t fragment = 0;
};

// What is used after a step was sent before what is sent after it.
std::vector<Event> events_of(std::int64_t every, std::int64_t delay, const std::vector<FragmentTimes>& fragments) {
  std::vector<Event> events;
  for (std::size_t i = 0; i < fragments.size(); ++i) {
    events.push_back({fragments[i].step, true, i});
    events.push_back({(fragments[i].step + delay) % every, false, i});
  }
  std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return a.step != b.step ? a.step < b.step : !a.sends && b.sends;
  });
  return events;
}

// Devices and links over rounds, in seconds from now.
class Rounds {
 public:
  Rounds(Seconds iteration, std::int64_t every, std::int64_t delay, const std::vector<FragmentTimes>& fragments)
      : iteration_(iteration),
        every_(every),
        fragments_(fragments),
        events_(events_of(every, delay, fragments)),
        back_(fragments.size()) {}

  // The time of the next round. Afterwards `repeats` says whether it began as it ended.
  Seconds next() {
    const std::vector<Seconds> back_before = back_;
    const Seconds free_before = links_free_;
    Seconds now;
    std::int64_t done = 0;
    for (const Event& event : events_) {
      now += iteration_ * static_cast<double>(event.step + 1 - done);
      done = event.step + 1;
      if (event.sends)
        links_free_ = back_[event.fragment] = std::max(now, links_free_) + fragments_[event.fragment].exchange;
      else
        now = std::max(now, back_[event.fragment]) + fragments_[event.fragment].update;
    }
    now += iteration_ * static_cast<double>(every_ - done);
    for (Seconds& back : back_) back = std::max(Seconds(0), back - now);
    links_free_ = std::max(Seconds(0), links_free_ - now);
    repeats = back_ == back_before && links_free_ == free_before;
    return now;
  }

  bool repeats = false;

 private:
  Seconds iteration_;
  std::int64_t every_;
  const std::vector<FragmentTimes>& fragments_;
  std::vector<Event> events_;
  std::vector<Seconds> back_;  // by fragment: when it is there; in the past: now
  Seconds links_free_;
};

// What a round takes beyond what it works; sums in another order differ by their rounding alone.
Seconds waited_of(Seconds whole, Seconds busy) {
  constexpr double rounding = 1e-12;
  return whole > busy * (1 + rounding) ? whole - busy : Seconds(0);
}

}  // namespace

RoundTime time_round(Seconds iteration, std::int64_t every, std::int64_t delay,
                     const std::vector<FragmentTimes>& fragments) {
  Seconds busy = iteration * static_cast<double>(every);
  Seconds exchanges;
  for (const FragmentTimes& fragment : fragments) {
    busy += fragment.update;
    exchanges += fragment.exchange;
  }
  if (delay == 0) return {busy + exchanges, exchanges};
  // Links that are a little too slow fall behind for many rounds before training waits for them.
  constexpr std::int64_t enough = 2'000'000;  // events
  const std::int64_t most = std::max<std::int64_t>(2, enough / (2 * std::ssize(fragments)));
  const std::int64_t half = most / 2;
  Rounds rounds(iteration, every, delay, fragments);
  Seconds whole;
  Seconds late;  // the second half, where rounds never repeat themselves
  for (std::int64_t round = 0; round < most; ++round) {
    whole = rounds.next();
    if (rounds.repeats) return {whole, waited_of(whole, busy)};
    if (round >= half) late += whole;
  }
  whole = late / static_cast<double>(most - half);
  return {whole, waited_of(whole, busy)};
}

}  // namespace echelon
