#include "sim/engine/max_min.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <queue>
#include <utility>

namespace echelon {

namespace {

constexpr double unlimited = std::numeric_limits<double>::infinity();
constexpr double one_level = 1 + 1e-12;

class Filling {
 public:
  explicit Filling(const SharingProblem& problem)
      : problem_(problem),
        rates_(problem.flows(), -1),
        left_(problem.capacity),
        rising_share_(problem.capacity.size(), 0),
        rising_(problem.capacity.size(), 0),
        by_cap_(problem.flows()),
        held_by_(problem.flows(), -1) {
    list_flows_of_links();
    std::iota(by_cap_.begin(), by_cap_.end(), 0);
    std::stable_sort(by_cap_.begin(), by_cap_.end(), [&](std::int32_t a, std::int32_t b) { return cap(a) < cap(b); });
    for (std::size_t l = 0; l < left_.size(); ++l)
      if (rising_[l] > 0) full_at_.emplace(left_[l] / rising_share_[l], static_cast<std::int32_t>(l));
  }

  std::vector<double> run() {
    while (!full_at_.empty()) {
      const auto [known, l] = full_at_.top();
      full_at_.pop();
      const auto link = static_cast<std::size_t>(l);
      if (rising_[link] == 0) continue;
      // Flows that stopped earlier can only have raised the level at which a link fills.
      const double full = std::max(level_, left_[link] / rising_share_[link]);
      if (full > known * one_level || stop_at_caps(full)) {
        full_at_.emplace(full, l);
      } else {
        if (full > level_ * one_level) level_ = full;
        stop_flows_of(link);
      }
    }
    stop_at_caps(unlimited);
    return std::move(rates_);
  }

  std::vector<std::int32_t> held_by() { return std::move(held_by_); }

 private:
  double cap(std::int32_t flow) const { return problem_.cap[static_cast<std::size_t>(flow)]; }

  void list_flows_of_links() {
    first_.assign(left_.size() + 1, 0);
    for (std::size_t h = 0; h < problem_.link.size(); ++h) {
      const auto link = static_cast<std::size_t>(problem_.link[h]);
      ++first_[link + 1];
      ++rising_[link];
      rising_share_[link] += problem_.share[h];
    }
    std::partial_sum(first_.begin(), first_.end(), first_.begin());
    std::vector<std::int32_t> next = first_;
    flows_.resize(problem_.link.size());
    for (std::size_t f = 0; f < problem_.flows(); ++f)
      for (auto h = static_cast<std::size_t>(problem_.first[f]); h < static_cast<std::size_t>(problem_.first[f + 1]);
           ++h)
        flows_[static_cast<std::size_t>(next[static_cast<std::size_t>(problem_.link[h])]++)] =
            static_cast<std::int32_t>(f);
  }

  // Stops every flow whose cap is not above `level`; whether there was one.
  bool stop_at_caps(double level) {
    bool any = false;
    for (; next_cap_ < by_cap_.size() && cap(by_cap_[next_cap_]) <= level; ++next_cap_) {
      const auto flow = static_cast<std::size_t>(by_cap_[next_cap_]);
      if (rates_[flow] >= 0) continue;
      level_ = std::max(level_, problem_.cap[flow]);
      stop(flow, problem_.cap[flow]);
      any = true;
    }
    return any;
  }

  void stop_flows_of(std::size_t link) {
    for (auto i = static_cast<std::size_t>(first_[link]); i < static_cast<std::size_t>(first_[link + 1]); ++i) {
      const auto flow = static_cast<std::size_t>(flows_[i]);
      if (rates_[flow] >= 0) continue;
      if (level_ < problem_.cap[flow]) held_by_[flow] = static_cast<std::int32_t>(link);
      stop(flow, std::min(level_, problem_.cap[flow]));
    }
  }

  void stop(std::size_t flow, double rate) {
    rates_[flow] = rate;
    for (auto h = static_cast<std::size_t>(problem_.first[flow]);
         h < static_cast<std::size_t>(problem_.first[flow + 1]); ++h) {
      const auto link = static_cast<std::size_t>(problem_.link[h]);
      left_[link] = std::max(0.0, left_[link] - rate * problem_.share[h]);
      rising_share_[link] -= problem_.share[h];
      --rising_[link];
    }
  }

  using Full = std::pair<double, std::int32_t>;  // the level at which a link fills, and the link

  const SharingProblem& problem_;
  std::vector<double> rates_;         // below 0: still rising
  std::vector<double> left_;          // of each link's capacity
  std::vector<double> rising_share_;  // of each link, summed over the flows that still rise
  std::vector<std::int32_t> rising_;  // how many those are
  std::vector<std::int32_t> first_;   // flows of link l: flows_[first_[l]] ..
  std::vector<std::int32_t> flows_;
  std::vector<std::int32_t> by_cap_;   // flows, lowest cap first
  std::vector<std::int32_t> held_by_;  // link that stopped a flow
  std::size_t next_cap_ = 0;
  std::priority_queue<Full, std::vector<Full>, std::greater<>> full_at_;
  double level_ = 0;  // that all rising flows have reached
};

}  // namespace

void SharingProblem::clear() {
  capacity.clear();
  cap.clear();
  first.assign(1, 0);
  link.clear();
  share.clear();
}

std::vector<double> max_min_rates(const SharingProblem& problem, std::vector<std::int32_t>* held_by) {
  Filling filling(problem);
  std::vector<double> rates = filling.run();
  if (held_by != nullptr) *held_by = filling.held_by();
  return rates;
}

}  // namespace echelon
