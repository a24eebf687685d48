#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

#include "strategies/pipeline/vocabulary.h"

namespace echelon {

namespace {

// Where a rank's passes lie in the steady state: in each period all ranks run the vocabulary at once, then a forward
// and a backward pass of their layers in either order.
struct Place {
  bool backward_first = false;
  std::int64_t forward = 0;   // period of micro-batch 0's forward pass; its vocabulary runs in period 0
  std::int64_t backward = 0;  // of its backward pass
};

// Periods between two passes at these offsets into their periods, the later one at least `apart` after the earlier.
std::int64_t periods_between(double earlier, double later, double apart, double period) {
  constexpr double rounding = 1e-9;
  return static_cast<std::int64_t>(std::ceil((earlier + apart - later) / period - rounding));
}

// The order of each rank that keeps the first rank's micro-batches alive for the fewest periods, found from the last
// rank to the first. With backward passes of two forwards that is half again 1F1B's.
class Placement {
 public:
  Placement(double forward, double backward, double vocabulary)
      : forward_(forward), backward_(backward), vocabulary_(vocabulary), period_(forward + backward + vocabulary) {}

  std::vector<Place> run(std::size_t ranks) const {
    // By the order of the first rank so far: places, last rank first.
    std::array<std::vector<Place>, 2> ways{std::vector<Place>{last(false)}, std::vector<Place>{last(true)}};
    for (std::size_t rank = 1; rank < ranks; ++rank) {
      std::array<std::vector<Place>, 2> longer;
      for (const bool backward_first : {false, true}) {
        const Place a = before(ways[0].back(), backward_first);
        const Place b = before(ways[1].back(), backward_first);
        const std::size_t from = span(b) < span(a) ? 1 : 0;
        auto& way = longer[backward_first ? 1 : 0];
        way = ways[from];
        way.push_back(from == 1 ? b : a);
      }
      ways = std::move(longer);
    }
    std::vector<Place> places = span(ways[1].back()) < span(ways[0].back()) ? ways[1] : ways[0];
    std::reverse(places.begin(), places.end());
    return places;
  }

 private:
  double forward_offset(bool backward_first) const { return vocabulary_ + (backward_first ? backward_ : 0); }
  double backward_offset(bool backward_first) const { return vocabulary_ + (backward_first ? 0 : forward_); }

  double span(const Place& place) const {
    return static_cast<double>(place.backward - place.forward) * period_ + backward_offset(place.backward_first) -
           forward_offset(place.backward_first);
  }

  // The last stage runs forward before the vocabulary and backward after it.
  Place last(bool backward_first) const { return {backward_first, -1, 0}; }

  Place before(const Place& next, bool backward_first) const {
    Place place{backward_first, 0, 0};
    place.forward = next.forward - periods_between(forward_offset(backward_first), forward_offset(next.backward_first),
                                                   forward_, period_);
    place.backward = next.backward + periods_between(backward_offset(next.backward_first),
                                                     backward_offset(backward_first), backward_, period_);
    return place;
  }

  double forward_;
  double backward_;
  double vocabulary_;
  double period_;
};

Action action_of(Pass pass, ActionPart part, std::int64_t micro_batch) {
  Action action{pass, 0, static_cast<std::int32_t>(micro_batch)};
  action.part = part;
  return action;
}

// One rank's actions by period and place in it.
RankOrder order_of(const Place& place, const Place& first, std::int64_t micro_batches) {
  std::vector<std::tuple<std::int64_t, int, Action>> timed;
  for (std::int64_t j = 0; j < micro_batches; ++j) {
    const auto at = [&](std::int64_t period, int slot, Pass pass, ActionPart part) {
      timed.emplace_back(period + j, slot, action_of(pass, part, j));
    };
    at(0, 0, Pass::forward, ActionPart::output);
    at(0, 1, Pass::backward, ActionPart::output);
    at(first.forward, 2, Pass::forward, ActionPart::embedding);
    at(first.backward + 1, 3, Pass::backward, ActionPart::embedding);
    at(place.forward, place.backward_first ? 5 : 4, Pass::forward, ActionPart::layers);
    at(place.backward, place.backward_first ? 4 : 5, Pass::backward, ActionPart::layers);
  }
  std::sort(timed.begin(), timed.end(), [](const auto& a, const auto& b) {
    return std::tie(std::get<0>(a), std::get<1>(a)) < std::tie(std::get<0>(b), std::get<1>(b));
  });
  RankOrder order;
  for (const auto& entry : timed) order.push_back(std::get<2>(entry));
  return order;
}

}  // namespace

Schedule interlaced_schedule(const ScheduleShape& shape, const ScheduleCosts& costs) {
  StageCost mean{0, 0, 0};
  for (const StageCost& cost : costs.stages) {
    mean.forward += cost.forward / static_cast<double>(costs.stages.size());
    mean.input += (cost.input + cost.weight) / static_cast<double>(costs.stages.size());
  }
  const double vocabulary = costs.output.forward + costs.output.input + costs.output.weight;
  const std::vector<Place> places =
      Placement(mean.forward, mean.input, vocabulary).run(static_cast<std::size_t>(shape.ranks));
  Schedule schedule{shape, StageLayout::loop, {}};
  schedule.vocabulary = VocabularyParallel::interlaced;
  for (const Place& place : places) schedule.ranks.push_back(order_of(place, places.front(), shape.micro_batches));
  return schedule;
}

}  // namespace echelon
