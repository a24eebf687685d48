#include "sim/metrics/local_round.h"

#include <random>
#include <string>

#include "tests/catch.h"

using namespace echelon;

namespace {

// `fragments` alike at even distances.
std::vector<FragmentTimes> alike(std::int64_t fragments, std::int64_t every, Seconds exchange, Seconds update) {
  std::vector<FragmentTimes> times;
  for (std::int64_t i = 0; i < fragments; ++i) times.push_back({i * every / fragments, exchange, update});
  return times;
}

}  // namespace

TEST_CASE("without delay a round is its iterations and all of its synchronisations") {
  const RoundTime time = time_round(Seconds(2), 10, 0, {{0, Seconds(3), Seconds(1)}, {5, Seconds(4), Seconds(0.5)}});
  CHECK(time.whole.value() == Approx(10 * 2 + 3 + 1 + 4 + 0.5));
  CHECK(time.waited.value() == Approx(3 + 4));
}

TEST_CASE("what hides wholly is not waited for, to the last bit") {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> draw(0.001, 3);
  for (int i = 0; i < 200; ++i) {
    const Seconds iteration(draw(random));
    CHECK(time_round(iteration, 100, 5, alike(11, 100, iteration * 0.2, Seconds(draw(random) / 700))).waited ==
          Seconds(0));
  }
}

TEST_CASE("an exchange hides behind the steps of its delay, and what is longer is waited for") {
  for (const double exchange : {0.5, 4.0, 9.0, 100.0})
    for (const std::int64_t delay : {1, 2, 5, 9}) {
      // One fragment: nothing else runs between sending and using it.
      const RoundTime one = time_round(Seconds(2), 10, delay, {{0, Seconds(exchange), Seconds(1)}});
      CHECK(one.waited.value() == Approx(std::max(0.0, exchange - 2.0 * static_cast<double>(delay))).margin(1e-9));
      CHECK(one.whole.value() == Approx(10 * 2 + 1 + one.waited.value()));
    }
  // As long as a fragment is used before the next is sent, each is waited for alike.
  for (const std::int64_t delay : {1, 2, 3, 4, 5}) {
    const RoundTime four = time_round(Seconds(2), 20, delay, alike(4, 20, Seconds(7), Seconds(1)));
    CHECK(four.waited.value() == Approx(4 * std::max(0.0, 7 - 2.0 * static_cast<double>(delay))).margin(1e-9));
  }
}

TEST_CASE("fragments that follow each other without a gap make the links or the iterations set the pace") {
  // Used no sooner than the next is sent, a fragment's exchange has the distance d between two of them to itself before
  // the links are wanted again: P fragments take P max(exchange, d iterations).
  for (const double exchange : {5.0, 10.0, 10.001, 12.0})
    for (const std::int64_t distances : {1, 2, 3}) {
      const RoundTime time = time_round(Seconds(2), 20, 5 * distances, alike(4, 20, Seconds(exchange), Seconds(0)));
      CHECK(time.whole.value() == Approx(4 * std::max(exchange, 10.0)).epsilon(1e-5));
    }
}

TEST_CASE("a round is at least its work and its exchanges, at most their sum, and no longer with more delay") {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> seconds(0, 10);
  for (int i = 0; i < 200; ++i) {
    const std::int64_t every = 6 + static_cast<std::int64_t>(random() % 20);
    std::vector<FragmentTimes> fragments;
    double exchanges = 0;
    double work = 2.0 * static_cast<double>(every);
    const std::int64_t count = 1 + static_cast<std::int64_t>(random() % 6);
    for (std::int64_t f = 0; f < count; ++f) {
      fragments.push_back({f * every / count, Seconds(seconds(random)), Seconds(seconds(random) / 10)});
      exchanges += fragments.back().exchange.value();
      work += fragments.back().update.value();
    }
    double before = 1e9;
    for (std::int64_t delay = 0; delay < every; ++delay) {
      const double whole = time_round(Seconds(2), every, delay, fragments).whole.value();
      CHECK(whole >= std::max(work, exchanges) * (1 - 1e-9));
      CHECK(whole <= (work + exchanges) * (1 + 1e-9));
      CHECK(whole <= before * (1 + 1e-9));
      before = whole;
    }
  }
}

// Streaming DiLoCo (arXiv:2501.18512), table 4: the bandwidth between two groups at which compute takes so large a
// share of a round of 100 steps, by the authors' simulation. They give the first that suffices of bandwidths each 1.21
// times the one before. Parameters travel in 16 bits, or four; fragments have three layers. Their schedule lays an
// exchange beside the passes that make and use it (figure 3), which is about a step of delay more than is asked for:
// one for DiLoCo, two for exchanges that overlap.
TEST_CASE("rounds need the bandwidths that their authors' simulation found") {
  struct Row {
    const char* model;
    double parameters;
    std::int64_t layers;
    double step;
    double bits;
    bool streams;
    std::vector<double> gigabits;  // for shares of 50, 80, 90, 95, 99 %
  };
  for (const Row& row : {Row{"1B", 1e9, 24, 0.1, 16, false, {1.4, 6.2, 13.3, 23.3, 86.8}},
                         Row{"1B", 1e9, 24, 0.1, 16, true, {1.4, 4.3, 6.2, 9.1, 11.0}},
                         Row{"1B", 1e9, 24, 0.1, 4, true, {0.4, 0.9, 1.7, 2.0, 3.0}},
                         Row{"10B", 1e10, 48, 0.8, 16, false, {1.7, 7.5, 16.0, 33.9, 104.8}},
                         Row{"10B", 1e10, 48, 0.8, 16, true, {1.7, 3.6, 5.2, 6.2, 7.5}},
                         Row{"10B", 1e10, 48, 0.8, 4, true, {0.4, 0.9, 1.4, 1.4, 1.7}},
                         Row{"100B", 1e11, 108, 4.9, 16, false, {3.0, 11.0, 23.3, 49.4, 184.2}},
                         Row{"100B", 1e11, 108, 4.9, 16, true, {1.7, 3.6, 4.3, 5.2, 5.2}},
                         Row{"100B", 1e11, 108, 4.9, 4, true, {0.5, 0.9, 1.1, 1.1, 1.4}}}) {
    const std::int64_t fragments = row.streams ? row.layers / 3 : 1;
    const auto share = [&](double gigabits) {
      const Seconds exchange(row.parameters * row.bits / static_cast<double>(fragments) / (gigabits * 1e9));
      const auto times = alike(fragments, 100, exchange, Seconds(0));
      return 100 * row.step / time_round(Seconds(row.step), 100, row.streams ? 2 : 1, times).whole.value();
    };
    const double shares[] = {0.5, 0.8, 0.9, 0.95, 0.99};
    for (std::size_t i = 0; i < row.gigabits.size(); ++i) {
      INFO(row.model << ", " << row.bits << " bits, " << shares[i]);
      CHECK(share(row.gigabits[i] * 1.3) >= shares[i]);
      CHECK(share(row.gigabits[i] / 1.3) < shares[i]);
    }
  }
}
