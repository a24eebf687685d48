// How much of what a token's experts need is sent where several of them share a place.
#pragma once

#include <cstdint>

#include "sim/graph/layer_program.h"

namespace echelon {

// Copies of a row that are sent over those that its communication's row_share counts, with experts spread evenly over
// `places` and every choice of experts as likely: a place of E experts is spared by all k copies with probability
// C(E - E / places, k) / C(E, k). 1 where every copy is sent.
double share_sent(const SentOnce& once, std::int64_t places);

}  // namespace echelon
