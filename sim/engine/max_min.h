// Max-min fair rates: no flow can go faster without slowing one that is no faster than itself.
//
// Progressive filling (D. Bertsekas and R. Gallager, Data Networks, 2nd ed. 1992, section 6.5.2): all rates rise
// together; whenever a link is full, the flows over it stop there, and a flow stops at its own cap. Here a flow takes
// `share` times its rate of a link, so the level at which a link fills is what is left of it over the shares of the
// flows that still rise.
#pragma once

#include <cstdint>
#include <vector>

namespace echelon {

// Flows 0..n-1 over links 0..m-1, as compressed rows: flow f crosses link[first[f]] .. link[first[f + 1] - 1].
struct SharingProblem {
  std::vector<double> capacity;           // of each link, bytes a second, above 0
  std::vector<double> cap;                // of each flow, above 0; infinity = none
  std::vector<std::int32_t> first = {0};  // n + 1 entries
  std::vector<std::int32_t> link;
  std::vector<double> share;  // of the flow's rate that it takes of the link, above 0

  void clear();
  std::size_t flows() const { return cap.size(); }
};

// Rates by flow, bytes a second; a flow with neither links nor a cap has an infinite one. Levels that differ by less
// than 1e-12 of each other are one. `held_by`, if given: by flow, the full link that stopped it, -1 where its cap did.
std::vector<double> max_min_rates(const SharingProblem& problem, std::vector<std::int32_t>* held_by = nullptr);

}  // namespace echelon
