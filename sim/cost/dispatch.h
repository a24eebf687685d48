// How much of what a token's experts need is sent where several of them share a place.
#pragma once

#include <cstdint>

#include "sim/graph/layer_program.h"
#include "sim/graph/work.h"
#include "sim/hardware/network.h"

namespace echelon {

// Copies of a row that are sent over those that its communication's row_share counts, with experts spread evenly over
// `places` and every choice of experts as likely: a place of E experts is spared by all k copies with probability
// C(E - E / places, k) / C(E, k). 1 where every copy is sent.
double share_sent(const SentOnce& once, std::int64_t places);

// Ranks of a group among which a row goes straight to each that wants it: as many of a scale-up domain as divide the
// group, of a node where there is no domain. Beyond them it is sent once to each such set.
std::int64_t ranks_within_reach(const GroupLayout& group, const Network& network);

}  // namespace echelon
