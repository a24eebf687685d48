// Tokens on their way to experts, counted one by one.
#include "sim/cost/dispatch.h"

#include <bit>

#include "tests/catch.h"

using namespace echelon;

namespace {

// Mean number of places that hold one of a row's `copies` experts, over every choice of them.
double places_by_hand(int experts, int copies, int places) {
  double sum = 0;
  int choices = 0;
  for (unsigned chosen = 0; chosen < 1U << experts; ++chosen) {
    if (std::popcount(chosen) != copies) continue;
    ++choices;
    for (int place = 0; place < places; ++place) {
      const unsigned held = ((1U << (experts / places)) - 1) << (place * experts / places);
      sum += (chosen & held) != 0 ? 1 : 0;
    }
  }
  return sum / choices;
}

}  // namespace

TEST_CASE("A row is sent once to each place that holds any of its experts") {
  CHECK(share_sent({}, 8) == 1);                     // every copy apart
  CHECK(share_sent({2, 8, 0}, 1) == Approx(0.5));    // all experts in one place: one copy of two
  CHECK(share_sent({3, 8, 0}, 8) == Approx(1));      // a place for each expert
  CHECK(share_sent({4, 12, 1}, 4) == Approx(0.25));  // routing allows one place
  for (const int copies : {1, 2, 5, 8})
    for (const int places : {1, 2, 4, 6, 12})
      CHECK(share_sent({static_cast<double>(copies), 12, 0}, places) ==
            Approx(places_by_hand(12, copies, places) / copies));
}

TEST_CASE("A row goes straight to the ranks of a scale-up domain") {
  Network network;
  network.gpus_per_node = 4;
  CHECK(ranks_within_reach({64, 4}, network) == 4);
  network.domain_gpus = 72;
  CHECK(ranks_within_reach({64, 4}, network) == 64);
  CHECK(ranks_within_reach({32, 4}, network) == 32);
  CHECK(ranks_within_reach({128, 4}, network) == 64);  // two domains, as jobs are laid
  CHECK(ranks_within_reach({16, 1}, network) == 16);   // one rank on each of 16 trays
}
