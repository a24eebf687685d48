// Flows that share links: (bytes, route, start) -> when each is through, in whole picoseconds.
//
// A flow waits for its latency, then moves its bytes at the max-min fair rate (max_min.h) of all flows under way; rates
// change only when a flow begins to move or ends. A link that its flows could not fill if each were alone on its way
// holds nobody back. A change reaches those flows alone that share other links with it, directly or through others; the
// rest keep their rates and their ends. Events of one instant are taken together, in the order of the flows' numbers.
//   FlowNetwork network(link_capacities(topology));
//   network.add(...)*;  while (network.next_event_time() < Time::max()) ends =
//   network.advance(network.next_event_time());
// An event engine takes the earlier of its own next event and next_event_time(), and may add flows in between.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "sim/base/units.h"
#include "sim/engine/max_min.h"
#include "sim/hardware/topology.h"

namespace echelon {

using FlowId = std::int32_t;

struct Flow {
  Time start;
  Bytes bytes;             // 0 or more; none: through after the latency
  std::vector<Hop> route;  // links below the network's count
  Time latency;            // before the first byte moves
  ByteRate cap;            // that the flow never exceeds; 0 = none
};

struct FlowEnd {
  FlowId flow = 0;
  Time time;
  friend bool operator==(const FlowEnd&, const FlowEnd&) = default;
};

class FlowNetwork {
 public:
  // `capacities` by link, above 0.
  explicit FlowNetwork(const std::vector<ByteRate>& capacities);

  // Flows are numbered from 0; the number of a flow that an earlier advance() has told of is given again. A flow cannot
  // start before now().
  FlowId add(const Flow& flow) { return add(flow, flow.start, 1); }
  // The same with another start, and `stretch` times its bytes and latency.
  FlowId add(const Flow& flow, Time start, double stretch);
  // From now on the flow goes by `route`, if it goes over a link of `down` (by link). share_rates() once all are told.
  void reroute(FlowId flow, const std::vector<Hop>& route, const std::vector<bool>& down);
  // Works out the rates that hold from now on.
  void share_rates() { share_again(); }
  // When a flow next begins to move or ends; Time::max() when none is left.
  Time next_event_time() const { return events_.empty() ? Time::max() : events_.top().time; }
  // Runs to `until`, that instant included, and gives the flows that ended, by time and then number.
  std::vector<FlowEnd> advance(Time until);

  Time now() const { return now_; }
  // Bytes a second at this instant; 0 before the latency has passed and after the end.
  ByteRate rate(FlowId flow) const { return ByteRate(flows_[static_cast<std::size_t>(flow)].rate); }
  // The full link that kept the flow from going faster for more than half of its time, if any one did; -1 = none, its
  // cap or its own links did. Known until the flow's number is given again.
  LinkId held_by(FlowId flow) const { return flows_[static_cast<std::size_t>(flow)].holder; }
  // Flows whose rates were worked out, summed over all changes: what the sharing has cost.
  std::int64_t rates_solved() const { return rates_solved_; }

 private:
  struct State {
    std::vector<Hop> route;
    std::vector<std::int32_t> places;  // of each hop, in its link's list
    double left = 0;                   // bytes, as of `updated`
    double rate = 0;
    double cap = 0;    // infinity = none
    double bound = 0;  // that cap and links set it alone
    Time updated;
    LinkId held = -1;             // full link that holds it back now
    LinkId holder = -1;           // the one that leads the vote (chain_mark.h has its source), -1 for none
    Time votes;                   // picoseconds, for `holder` less those against it
    Time voted;                   // up to which instant
    std::int32_t generation = 0;  // of the event that counts
    std::int32_t seen = 0;        // the last search that met it
    bool moving = false;
  };
  struct Crossing {
    FlowId flow = 0;
    std::int32_t hop = 0;
  };
  struct LinkState {
    double capacity = 0;
    double demand = 0;                // of moving flows, were each at its bound
    std::vector<Crossing> crossings;  // of moving flows
    std::int32_t seen = 0;
    std::int32_t local = 0;  // its number in the problem being solved
  };
  struct Event {
    Time time;
    FlowId flow = 0;
    std::int32_t generation = 0;
    bool operator>(const Event& other) const { return time != other.time ? time > other.time : flow > other.flow; }
  };

  State& state(FlowId flow) { return flows_[static_cast<std::size_t>(flow)]; }
  LinkState& link_of(const Hop& hop) { return links_[static_cast<std::size_t>(hop.link)]; }

  // Whether the link can hold flows back; what fills it to the last bit holds nobody back.
  static bool is_tight(const LinkState& link) { return link.demand > link.capacity * (1 + 1e-10); }

  void drop_stale_events();
  void begin(FlowId flow);
  void end(FlowId flow);
  void share_again();
  void collect_neighbours();
  void build_problem();
  void bind(State& flow);
  void cross(FlowId flow);
  void leave(FlowId flow);
  void vote(State& moving) const;
  void set_rate(FlowId flow, double rate);

  std::vector<State> flows_;
  std::vector<LinkState> links_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  Time now_;
  std::vector<FlowId> ended_;    // told of by the last advance()
  std::vector<FlowId> unused_;   // numbers to give again
  std::vector<FlowId> changed_;  // flows that began at this instant, then all whose rates are worked out
  std::vector<LinkId> freed_;    // tight links that a flow has left at this instant
  std::int32_t search_ = 0;
  std::int64_t rates_solved_ = 0;
  SharingProblem problem_;                  // kept for its memory
  std::vector<LinkId> problem_links_;       // by its numbers
  std::vector<std::int32_t> held_by_link_;  // by its flows
};

// Adds all flows to a network of its own and gives each one's end.
std::vector<Time> completion_times(const std::vector<ByteRate>& capacities, const std::vector<Flow>& flows);

}  // namespace echelon
