#include "sim/cost/dispatch.h"

#include <algorithm>

#include "sim/cost/group_facts.h"

namespace echelon {

double share_sent(const SentOnce& once, std::int64_t places) {
  if (once.copies <= 0) return 1;
  const double elsewhere = once.experts - once.experts / static_cast<double>(places);
  double spared = 1;
  for (double chosen = 0; chosen < once.copies; ++chosen)
    spared *= std::max(0.0, elsewhere - chosen) / (once.experts - chosen);
  const double reached = static_cast<double>(places) * (1 - spared);
  return (once.most_places > 0 ? std::min(reached, once.most_places) : reached) / once.copies;
}

std::int64_t ranks_within_reach(const GroupLayout& group, const Network& network) {
  std::int64_t ranks = ranks_in_domain(network, {group.ranks, group.ranks_per_node});
  while (ranks > group.ranks_per_node && (group.ranks % ranks != 0 || ranks % group.ranks_per_node != 0)) --ranks;
  return ranks;
}

}  // namespace echelon
