#include "sim/engine/binding_links.h"

#include <random>

#include "tests/catch.h"

using namespace echelon;

namespace {

// A flow over those links, each with its share.
Flow flow(double bytes, std::vector<Hop> route) {
  return {Time(), Bytes(bytes), std::move(route), Time(), ByteRate(0)};
}

LinkTraffic traffic_of(std::vector<double> capacities, std::vector<Flow> flows) {
  LinkTraffic traffic;
  for (const double capacity : capacities) traffic.capacities.emplace_back(capacity);
  traffic.patterns.push_back({{std::move(flows)}, Time(), {}});
  return traffic;
}

}  // namespace

TEST_CASE("a link that its flows' adapters cannot fill is taken off their ways") {
  // Two senders of 10 B/s each to two receivers: the trunk of 20 B/s never fills before they do, one of 19 does.
  const auto links_of_first = [](double trunk) {
    LinkTraffic traffic =
        traffic_of({10, 10, trunk, 10, 10}, {flow(1, {{0, 1}, {2, 1}, {3, 1}}), flow(1, {{1, 1}, {2, 1}, {4, 1}})});
    keep_binding_links(traffic);
    return traffic.patterns[0].steps[0][0].route.size();
  };
  CHECK(links_of_first(20) == 2);
  CHECK(links_of_first(19) == 3);
}

TEST_CASE("routes that change keep all of their links") {
  LinkTraffic traffic = traffic_of({10, 20}, {flow(1, {{0, 1}, {1, 1}})});
  traffic.later.emplace_back();
  keep_binding_links(traffic);
  CHECK(traffic.patterns[0].steps[0][0].route.size() == 2);
}

TEST_CASE("flows take as long without links that hold nobody back") {
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    // Adapters in and out, and two trunks over which all bytes are spread; sometimes wide enough.
    const std::size_t ends = 2 + random() % 5;
    const double trunk = 10 * static_cast<double>(1 + random() % ends) / 2;
    std::vector<double> capacities(2 * ends, 10);
    capacities.push_back(trunk);
    capacities.push_back(trunk);
    const auto first_trunk = static_cast<LinkId>(2 * ends);
    std::vector<Flow> flows;
    for (std::size_t i = 0; i < 3 * ends; ++i) {
      const auto from = static_cast<LinkId>(random() % ends);
      const auto to = static_cast<LinkId>(ends + random() % ends);
      flows.push_back(flow(static_cast<double>(1 + random() % 100),
                           {{from, 1}, {first_trunk, 0.5}, {first_trunk + 1, 0.5}, {to, 1}}));
    }
    LinkTraffic traffic = traffic_of(capacities, flows);
    keep_binding_links(traffic);
    const std::vector<Time> before = completion_times(traffic.capacities, flows);
    const std::vector<Time> after = completion_times(traffic.capacities, traffic.patterns[0].steps[0]);
    for (std::size_t i = 0; i < flows.size(); ++i)
      CHECK(after[i].seconds().value() == Approx(before[i].seconds().value()).epsilon(1e-9));
  }
}
