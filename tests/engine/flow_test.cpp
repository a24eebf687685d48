#include "sim/engine/flow.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/catch.h"
#include "tests/engine/random_flows.h"

namespace echelon {

namespace {

constexpr ByteRate gb_s = gigabytes_per_second(1);

Time milliseconds(double value) {
  return Time::from_seconds(Seconds(value * 1e-3));
}

// `megabytes` over these links, whole. At 1 GB/s a megabyte takes a millisecond.
Flow flow(double megabytes, const std::vector<LinkId>& links, double start_ms = 0) {
  Flow result;
  result.start = milliseconds(start_ms);
  result.bytes = Bytes(megabytes * 1e6);
  for (const LinkId link : links) result.route.push_back({link, 1});
  return result;
}

// Rates by the definition's own words, with no search for components: every flow that moves, in one problem.
std::vector<double> rates_from_scratch(const FlowSet& set, const std::vector<FlowId>& moving) {
  SharingProblem problem;
  for (const ByteRate capacity : set.capacities) problem.capacity.push_back(capacity.value());
  for (const FlowId id : moving) {
    const Flow& one = set.flows[static_cast<std::size_t>(id)];
    for (const Hop& hop : one.route) {
      problem.link.push_back(hop.link);
      problem.share.push_back(hop.share);
    }
    problem.first.push_back(static_cast<std::int32_t>(problem.link.size()));
    problem.cap.push_back(one.cap > ByteRate(0) ? one.cap.value() : std::numeric_limits<double>::infinity());
  }
  return max_min_rates(problem);
}

// Calls check(network, moving flows) after every event of the set.
template <class Check>
void at_every_event(const FlowSet& set, const Check& check) {
  FlowNetwork network(set.capacities);
  for (const Flow& one : set.flows) network.add(one);
  while (network.next_event_time() < Time::max()) {
    network.advance(network.next_event_time());
    std::vector<FlowId> moving;
    for (FlowId id = 0; id < static_cast<FlowId>(set.flows.size()); ++id)
      if (network.rate(id) > ByteRate(0)) moving.push_back(id);
    check(network, moving);
  }
}

}  // namespace

TEST_CASE("a flow alone takes its latency and its bytes over the slowest link") {
  Flow one = flow(6, {0, 1}, 1);
  one.latency = milliseconds(0.5);
  // 1 ms start + 0.5 ms latency + 6 MB over 2 GB/s.
  CHECK(completion_times({3 * gb_s, 2 * gb_s}, {one})[0] == milliseconds(4.5));
}

TEST_CASE("two flows share a link by halves, and the second has it alone once the first is through") {
  // 2 MB and 4 MB at half of 1 GB/s: the first ends at 4 ms; 2 MB are left of the second, at full rate until 6 ms.
  const auto ends = completion_times({gb_s}, {flow(2, {0}), flow(4, {0})});
  CHECK(ends[0] == milliseconds(4));
  CHECK(ends[1] == milliseconds(6));
}

TEST_CASE("a flow that begins later takes its half from then on") {
  // Alone until 1 ms, then by halves: 3 MB = 1 + 2 at half rate until 5 ms; the other has moved 2 of 3 MB by then.
  const auto ends = completion_times({gb_s}, {flow(3, {0}), flow(3, {0}, 1)});
  CHECK(ends[0] == milliseconds(5));
  CHECK(ends[1] == milliseconds(6));
}

TEST_CASE("a flow's latency keeps it from its share, not from its link") {
  Flow late = flow(1, {0});
  late.latency = milliseconds(2);
  const auto ends = completion_times({gb_s}, {flow(2, {0}), late});
  CHECK(ends[0] == milliseconds(2));
  CHECK(ends[1] == milliseconds(3));
}

TEST_CASE("what a capped flow leaves goes to the others") {
  Flow capped = flow(1, {0});
  capped.cap = 0.25 * gb_s;
  FlowNetwork network({gb_s});
  network.add(capped);
  network.add(flow(3, {0}));
  CHECK(network.advance(Time()).empty());
  CHECK(network.rate(0).value() == Approx(0.25e9));
  CHECK(network.rate(1).value() == Approx(0.75e9));
  const auto ends = network.advance(Time::max());
  CHECK(ends == std::vector<FlowEnd>{{0, milliseconds(4)}, {1, milliseconds(4)}});
}

TEST_CASE("the parking lot: one long flow and one short flow on each of three links have half each") {
  // Bertsekas and Gallager, section 6.5.2: on equal links the long flow is throttled no more than the short ones.
  FlowNetwork network({gb_s, gb_s, gb_s});
  network.add(flow(1, {0, 1, 2}));
  for (const LinkId link : {0, 1, 2}) network.add(flow(1, {link}));
  network.advance(Time());
  for (const FlowId id : {0, 1, 2, 3}) CHECK(network.rate(id).value() == Approx(0.5e9));
}

TEST_CASE("a linear network whose links differ fills level by level") {
  // Links of 1, 2 and 10; the long flow crosses all, two short ones the first, one each the others. The first link
  // fills at 1/3; the second has 2 - 1/3 for its own, the third 10 - 1/3.
  FlowNetwork network({gb_s, 2 * gb_s, 10 * gb_s});
  network.add(flow(1, {0, 1, 2}));
  for (const LinkId link : {0, 0, 1, 2}) network.add(flow(1, {link}));
  network.advance(Time());
  const double expected[] = {1.0 / 3, 1.0 / 3, 1.0 / 3, 2 - 1.0 / 3, 10 - 1.0 / 3};
  for (FlowId id = 0; id < 5; ++id) CHECK(network.rate(id).value() == Approx(1e9 * expected[id]));
}

TEST_CASE("a flow that is spread over two links takes of each its share") {
  // Half of the flow's bytes go each way: 2 GB/s in all, until a second flow halves one of the ways. Then, r the rate
  // of both: r / 2 + r = 1.
  Flow spread = flow(4, {});
  spread.route = {{0, 0.5}, {1, 0.5}};
  CHECK(completion_times({gb_s, gb_s}, {spread})[0] == milliseconds(2));
  FlowNetwork network({gb_s, gb_s});
  network.add(spread);
  network.add(flow(4, {1}));
  network.advance(Time());
  CHECK(network.rate(0).value() == Approx(2e9 / 3));
  CHECK(network.rate(1).value() == Approx(2e9 / 3));
}

TEST_CASE("flows with no bytes or no links end after their latency") {
  Flow empty = flow(0, {0});
  empty.latency = milliseconds(1);
  const auto ends = completion_times({gb_s}, {empty, flow(5, {}, 2)});
  CHECK(ends[0] == milliseconds(1));
  CHECK(ends[1] == milliseconds(2));
}

TEST_CASE("flows can be added while others are under way") {
  FlowNetwork network({gb_s});
  network.add(flow(3, {0}));
  CHECK(network.advance(milliseconds(1)).empty());
  CHECK(network.now() == milliseconds(1));
  network.add(flow(3, {0}, 1));
  CHECK(network.next_event_time() == milliseconds(1));
  const auto ends = network.advance(Time::max());
  CHECK(ends == std::vector<FlowEnd>{{0, milliseconds(5)}, {1, milliseconds(6)}});
}

TEST_CASE("flows that end at one instant are given by number") {
  const std::vector<ByteRate> links(4, gb_s);
  FlowNetwork network(links);
  for (const LinkId link : {3, 1, 2, 0}) network.add(flow(1, {link}));
  const auto ends = network.advance(Time::max());
  REQUIRE(ends.size() == 4);
  for (FlowId id = 0; id < 4; ++id) CHECK(ends[static_cast<std::size_t>(id)].flow == id);
}

TEST_CASE("a change leaves flows alone that share nothing with it") {
  const std::vector<ByteRate> links(100, gb_s);
  FlowNetwork network(links);
  for (LinkId link = 0; link < 100; ++link) network.add(flow(10 + link, {link}));
  network.advance(Time());
  const std::int64_t before = network.rates_solved();
  network.add(flow(1, {7}));
  network.advance(Time());
  CHECK(network.rates_solved() - before == 2);
}

TEST_CASE("rates are max-min fair at every event of random flows") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const FlowSet set = random_flow_set({}, seed);
    at_every_event(set, [&](const FlowNetwork& network, const std::vector<FlowId>& moving) {
      std::vector<double> load(set.capacities.size(), 0);
      std::vector<double> fastest(set.capacities.size(), 0);
      for (const FlowId id : moving)
        for (const Hop& hop : set.flows[static_cast<std::size_t>(id)].route) {
          const auto link = static_cast<std::size_t>(hop.link);
          load[link] += hop.share * network.rate(id).value();
          fastest[link] = std::max(fastest[link], network.rate(id).value());
        }
      for (std::size_t l = 0; l < load.size(); ++l) REQUIRE(load[l] <= set.capacities[l].value() * (1 + 1e-9));
      // Each flow is at its cap, or crosses a full link on which no flow is faster.
      for (const FlowId id : moving) {
        const Flow& one = set.flows[static_cast<std::size_t>(id)];
        const double rate = network.rate(id).value();
        const bool bound = std::any_of(one.route.begin(), one.route.end(), [&](const Hop& hop) {
          const auto link = static_cast<std::size_t>(hop.link);
          return load[link] >= set.capacities[link].value() * (1 - 1e-9) && rate >= fastest[link] * (1 - 1e-9);
        });
        const bool at_cap = one.cap > ByteRate(0) && rate >= one.cap.value() * (1 - 1e-9);
        REQUIRE((bound || at_cap));
        REQUIRE((one.cap == ByteRate(0) || rate <= one.cap.value()));
      }
    });
  }
}

TEST_CASE("rates kept from event to event are those worked out from scratch") {
  for (std::uint64_t seed = 100; seed < 160; ++seed) {
    // Many links and few flows: most changes reach a part of the flows only.
    const FlowSet set = random_flow_set({60, 40, 3, true, true}, seed);
    at_every_event(set, [&](const FlowNetwork& network, const std::vector<FlowId>& moving) {
      const std::vector<double> expected = rates_from_scratch(set, moving);
      for (std::size_t i = 0; i < moving.size(); ++i)
        REQUIRE(network.rate(moving[i]).value() == Approx(expected[i]).epsilon(1e-9));
    });
  }
}

TEST_CASE("the order in which flows are added moves no end by more than rounding") {
  for (std::uint64_t seed = 200; seed < 230; ++seed) {
    const FlowSet set = random_flow_set({}, seed);
    std::vector<Flow> reversed(set.flows.rbegin(), set.flows.rend());
    const auto forward = completion_times(set.capacities, set.flows);
    const auto backward = completion_times(set.capacities, reversed);
    for (std::size_t i = 0; i < forward.size(); ++i)
      REQUIRE(std::abs((forward[i] - backward[forward.size() - 1 - i]).picoseconds()) <= 1000);
    REQUIRE(completion_times(set.capacities, set.flows) == forward);
  }
}

}  // namespace echelon
