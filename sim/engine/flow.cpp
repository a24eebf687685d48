#include "sim/engine/flow.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/base/error.h"

namespace echelon {

namespace {

constexpr double unlimited = std::numeric_limits<double>::infinity();

// The instant `seconds` later, or the end of time.
Time later(Time now, double seconds) {
  const double picoseconds = seconds * 1e12;
  const auto room = static_cast<double>((Time::max() - now).picoseconds());
  return picoseconds >= room ? Time::max() : now + Time::from_picoseconds(std::llround(picoseconds));
}

}  // namespace

FlowNetwork::FlowNetwork(const std::vector<ByteRate>& capacities) {
  for (const ByteRate capacity : capacities) {
    SIM_CHECK(capacity > ByteRate(0), "a link of {} B/s", capacity.value());
    LinkState link;
    link.capacity = capacity.value();
    links_.push_back(std::move(link));
  }
}

FlowId FlowNetwork::add(const Flow& flow, Time start, double stretch) {
  SIM_CHECK(start >= now_ && flow.bytes >= Bytes(0), "a flow in the past or of {} bytes", flow.bytes.value());
  auto id = static_cast<FlowId>(flows_.size());
  if (unused_.empty()) {
    flows_.emplace_back();
  } else {
    id = unused_.back();
    unused_.pop_back();
  }
  State& added = state(id);
  added.route = flow.route;
  added.left = flow.bytes.value() * stretch;
  added.cap = flow.cap > ByteRate(0) ? flow.cap.value() : unlimited;
  added.held = added.holder = -1;
  added.votes = Time();
  bind(added);
  const Time latency = stretch == 1 ? flow.latency : Time::from_seconds(flow.latency.seconds() * stretch);
  events_.push({start + latency, id, added.generation});
  return id;
}

// The rate that the flow could have alone.
void FlowNetwork::bind(State& flow) {
  flow.places.resize(flow.route.size());
  flow.bound = flow.cap;
  for (const Hop& hop : flow.route) flow.bound = std::min(flow.bound, link_of(hop).capacity / hop.share);
}

void FlowNetwork::reroute(FlowId id, const std::vector<Hop>& route, const std::vector<bool>& down) {
  State& flow = state(id);
  const auto is_down = [&](const Hop& hop) { return down[static_cast<std::size_t>(hop.link)]; };
  if (std::none_of(flow.route.begin(), flow.route.end(), is_down)) return;
  if (flow.moving) leave(id);
  flow.route = route;
  bind(flow);
  if (!flow.moving) return;
  cross(id);
  changed_.push_back(id);
}

std::vector<FlowEnd> FlowNetwork::advance(Time until) {
  std::vector<FlowEnd> ends;
  unused_.insert(unused_.end(), ended_.rbegin(), ended_.rend());
  ended_.clear();
  while (!events_.empty() && events_.top().time <= until) {
    now_ = events_.top().time;
    SIM_CHECK(now_ < Time::max(), "a flow never ends");
    for (; !events_.empty() && events_.top().time == now_; drop_stale_events()) {
      const FlowId flow = events_.top().flow;
      events_.pop();
      ++state(flow).generation;
      if (!state(flow).moving && state(flow).left > 0) {
        begin(flow);
      } else {
        if (state(flow).moving) end(flow);
        ends.push_back({flow, now_});
        ended_.push_back(flow);
      }
    }
    share_again();
  }
  if (until < Time::max()) now_ = std::max(now_, until);
  std::stable_sort(ends.begin(), ends.end(), [](const FlowEnd& a, const FlowEnd& b) {
    return a.time != b.time ? a.time < b.time : a.flow < b.flow;
  });
  return ends;
}

void FlowNetwork::drop_stale_events() {
  while (!events_.empty() && events_.top().generation != state(events_.top().flow).generation) events_.pop();
}

void FlowNetwork::begin(FlowId flow) {
  State& beginning = state(flow);
  beginning.moving = true;
  beginning.updated = beginning.voted = now_;
  cross(flow);
  changed_.push_back(flow);
}

// The flow takes its part of the links of its route.
void FlowNetwork::cross(FlowId flow) {
  State& crossing = state(flow);
  for (std::size_t h = 0; h < crossing.route.size(); ++h) {
    LinkState& link = link_of(crossing.route[h]);
    link.demand += crossing.bound * crossing.route[h].share;
    crossing.places[h] = static_cast<std::int32_t>(link.crossings.size());
    link.crossings.push_back({flow, static_cast<std::int32_t>(h)});
  }
}

void FlowNetwork::leave(FlowId flow) {
  State& leaving = state(flow);
  for (std::size_t h = 0; h < leaving.route.size(); ++h) {
    LinkState& link = link_of(leaving.route[h]);
    if (is_tight(link)) freed_.push_back(leaving.route[h].link);
    std::vector<Crossing>& crossings = link.crossings;
    const Crossing last = crossings.back();
    crossings[static_cast<std::size_t>(leaving.places[h])] = last;
    state(last.flow).places[static_cast<std::size_t>(last.hop)] = leaving.places[h];
    crossings.pop_back();
    link.demand = crossings.empty() ? 0 : link.demand - leaving.bound * leaving.route[h].share;
  }
}

void FlowNetwork::end(FlowId flow) {
  State& ending = state(flow);
  leave(flow);
  vote(ending);
  ending.moving = false;
  ending.left = 0;
  ending.rate = 0;
  ending.route = {};
  ending.places = {};
}

// Works out anew the rates of all flows that what happened at this instant can reach.
void FlowNetwork::share_again() {
  if (changed_.empty() && freed_.empty()) return;
  collect_neighbours();
  build_problem();
  const std::vector<double> rates = max_min_rates(problem_, &held_by_link_);
  for (std::size_t i = 0; i < changed_.size(); ++i) {
    vote(state(changed_[i]));
    const std::int32_t held_by = held_by_link_[i];
    state(changed_[i]).held = held_by < 0 ? -1 : problem_links_[static_cast<std::size_t>(held_by)];
    set_rate(changed_[i], rates[i]);
  }
  rates_solved_ += static_cast<std::int64_t>(changed_.size());
  changed_.clear();
  freed_.clear();
  drop_stale_events();
}

// Extends changed_ to every moving flow that is joined to a change by a chain of tight links.
void FlowNetwork::collect_neighbours() {
  ++search_;
  const auto meet = [&](LinkState& link) {
    if (link.seen == search_) return;
    link.seen = search_;
    for (const Crossing& crossing : link.crossings) {
      if (state(crossing.flow).seen == search_) continue;
      state(crossing.flow).seen = search_;
      changed_.push_back(crossing.flow);
    }
  };
  std::erase_if(changed_, [&](FlowId flow) { return !state(flow).moving; });
  for (const FlowId flow : changed_) state(flow).seen = search_;
  for (const LinkId link : freed_) meet(links_[static_cast<std::size_t>(link)]);
  for (std::size_t i = 0; i < changed_.size(); ++i)
    for (const Hop& hop : state(changed_[i]).route)
      if (is_tight(link_of(hop))) meet(link_of(hop));
  std::sort(changed_.begin(), changed_.end());
}

void FlowNetwork::build_problem() {
  problem_.clear();
  problem_links_.clear();
  ++search_;  // a link is numbered where it is first met
  for (const FlowId flow : changed_) {
    for (const Hop& hop : state(flow).route) {
      LinkState& link = link_of(hop);
      if (!is_tight(link)) continue;
      if (link.seen != search_) {
        link.seen = search_;
        link.local = static_cast<std::int32_t>(problem_.capacity.size());
        problem_.capacity.push_back(link.capacity);
        problem_links_.push_back(hop.link);
      }
      problem_.link.push_back(link.local);
      problem_.share.push_back(hop.share);
    }
    problem_.first.push_back(static_cast<std::int32_t>(problem_.link.size()));
    problem_.cap.push_back(state(flow).bound);
  }
}

// The time since the last vote counts for what held the flow back in it.
void FlowNetwork::vote(State& moving) const {
  const Time passed = now_ - moving.voted;
  moving.voted = now_;
  if (moving.held == moving.holder) {
    moving.votes += passed;
  } else if (passed > moving.votes) {
    moving.holder = moving.held;
    moving.votes = passed - moving.votes;
  } else {
    moving.votes -= passed;
  }
}

void FlowNetwork::set_rate(FlowId flow, double rate) {
  State& moving = state(flow);
  if (rate == moving.rate) return;
  moving.left = std::max(0.0, moving.left - moving.rate * (now_ - moving.updated).seconds().value());
  moving.updated = now_;
  moving.rate = rate;
  events_.push({later(now_, moving.left / rate), flow, ++moving.generation});
}

std::vector<Time> completion_times(const std::vector<ByteRate>& capacities, const std::vector<Flow>& flows) {
  FlowNetwork network(capacities);
  for (const Flow& flow : flows) network.add(flow);
  std::vector<Time> times(flows.size());
  for (const FlowEnd& end : network.advance(Time::max())) times[static_cast<std::size_t>(end.flow)] = end.time;
  return times;
}

}  // namespace echelon
