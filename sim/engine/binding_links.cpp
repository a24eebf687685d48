#include "sim/engine/binding_links.h"

#include <algorithm>
#include <numeric>

namespace echelon {

namespace {

// Sums of parts that make a link's capacity may come out this much above it.
constexpr double rounding = 1 + 1e-9;

struct GatedFlow {
  Flow* flow = nullptr;
  Hop first;  // gates
  Hop last;
};

class BindingLinks {
 public:
  explicit BindingLinks(LinkTraffic& traffic) : capacities_(traffic.capacities), binds_(traffic.capacities.size()) {
    for (TrafficPattern& pattern : traffic.patterns) collect(pattern);
    for (BackgroundTraffic& job : traffic.background) collect(job.pattern);
  }

  void keep() {
    const std::vector<double> by_first = most_through(&GatedFlow::first);
    const std::vector<double> by_last = most_through(&GatedFlow::last);
    for (std::size_t link = 0; link < binds_.size(); ++link)
      binds_[link] = std::min(by_first[link], by_last[link]) > capacity(link) * rounding;
    for (const GatedFlow& gated : flows_)
      for (const Hop& gate : {gated.first, gated.last}) binds_[static_cast<std::size_t>(gate.link)] = true;
    for (const GatedFlow& gated : flows_) {
      std::vector<Hop>& route = gated.flow->route;
      std::erase_if(route, [&](const Hop& hop) { return !binds_[static_cast<std::size_t>(hop.link)]; });
      route.shrink_to_fit();
    }
  }

 private:
  double capacity(std::size_t link) const { return capacities_[link].value(); }
  double width(const Hop& hop) const { return capacity(static_cast<std::size_t>(hop.link)) / hop.share; }

  void collect(TrafficPattern& pattern) {
    for (auto& step : pattern.steps)
      for (Flow& flow : step) {
        if (flow.route.empty()) continue;
        GatedFlow gated{&flow, flow.route.front(), flow.route.front()};
        for (const Hop& hop : flow.route) {
          if (width(hop) * rounding < width(gated.first)) gated.first = hop;
          if (width(hop) <= width(gated.last) * rounding) gated.last = hop;
        }
        flows_.push_back(gated);
      }
  }

  // Bytes a second through each link that the gates of one end let through.
  std::vector<double> most_through(Hop GatedFlow::*gate) const {
    std::vector<std::size_t> order(flows_.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return (flows_[a].*gate).link < (flows_[b].*gate).link; });
    std::vector<double> most(capacities_.size(), 0);
    std::vector<double> share(capacities_.size(), 0);  // of the gate's bytes, at most
    std::vector<LinkId> touched;
    for (std::size_t i = 0; i < order.size(); ++i) {
      const GatedFlow& gated = flows_[order[i]];
      const Hop& by = gated.*gate;
      for (const Hop& hop : gated.flow->route) {
        double& part = share[static_cast<std::size_t>(hop.link)];
        if (part == 0) touched.push_back(hop.link);
        part = std::max(part, hop.share / by.share);
      }
      if (i + 1 < order.size() && (flows_[order[i + 1]].*gate).link == by.link) continue;
      for (const LinkId link : touched) {
        most[static_cast<std::size_t>(link)] +=
            share[static_cast<std::size_t>(link)] * capacity(static_cast<std::size_t>(by.link));
        share[static_cast<std::size_t>(link)] = 0;
      }
      touched.clear();
    }
    return most;
  }

  const std::vector<ByteRate>& capacities_;
  std::vector<bool> binds_;  // by link
  std::vector<GatedFlow> flows_;
};

}  // namespace

void keep_binding_links(LinkTraffic& traffic) {
  if (traffic.later.empty()) BindingLinks(traffic).keep();
}

}  // namespace echelon
