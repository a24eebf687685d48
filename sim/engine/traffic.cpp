#include "sim/engine/traffic.h"

#include <algorithm>
#include <utility>

#include "sim/base/error.h"

namespace echelon {

namespace {

// The flows of a group among a step's, which are sorted by group.
std::pair<std::size_t, std::size_t> flows_of(const TrafficPattern& pattern, std::size_t step, std::int32_t group) {
  if (group == all_groups || pattern.owners.empty()) return {0, pattern.steps[step].size()};
  const std::vector<FlowOwner>& owners = pattern.owners[step];
  const auto below = [](const FlowOwner& owner, std::int32_t value) { return owner.group < value; };
  const auto first = std::lower_bound(owners.begin(), owners.end(), group, below);
  const auto last = std::lower_bound(first, owners.end(), group + 1, below);
  return {static_cast<std::size_t>(first - owners.begin()), static_cast<std::size_t>(last - owners.begin())};
}

}  // namespace

TrafficRun::TrafficRun(const LinkTraffic& traffic, FlowStretch stretch)
    : traffic_(traffic), stretch_(std::move(stretch)), network_(traffic.capacities) {
  while (changes_ < traffic.later.size() && traffic.later[changes_].from <= Time()) ++changes_;
  for (std::size_t i = 0; i < traffic.background.size(); ++i) begin_background(i, traffic.background[i].first);
}

std::size_t TrafficRun::free_slot() {
  if (idle_.empty()) {
    running_.emplace_back();
    return running_.size() - 1;
  }
  const std::size_t slot = idle_.back();
  idle_.pop_back();
  return slot;
}

bool TrafficRun::begin(TaskReference task, Time now, std::int32_t group) {
  const auto pattern = static_cast<std::size_t>(traffic_.pattern(task));
  return begin({task, group, 0, traffic_.patterns[pattern].steps.size(), 0, now});
}

bool TrafficRun::begin_step(TaskReference task, std::size_t step, Time now, std::int32_t group) {
  return begin({task, group, step, step + 1, 0, now});
}

bool TrafficRun::begin(const Running& running) {
  // What other jobs sent while none of ours was under way.
  while (tasks_ == 0 && next_change() <= running.begun) advance(next_change());
  const std::size_t slot = free_slot();
  running_[slot] = running;
  if (!begin_next(slot, running.begun)) {
    idle_.push_back(slot);
    return false;
  }
  ++tasks_;
  return true;
}

void TrafficRun::begin_background(std::size_t number, Time now) {
  const std::size_t slot = free_slot();
  const std::size_t steps = traffic_.background[number].pattern.steps.size();
  running_[slot] = {{-1, static_cast<TaskId>(number)}, all_groups, 0, steps, 0, now};
  SIM_CHECK(begin_next(slot, now), "background traffic without a flow");
}

const TrafficPattern& TrafficRun::pattern_of(const Running& running) const {
  if (running.task.program < 0) {
    const auto number = static_cast<std::size_t>(running.task.task);
    return changes_ > 0 ? traffic_.later[changes_ - 1].background[number] : traffic_.background[number].pattern;
  }
  const LayerFlows* inside = traffic_.inside(running.task);
  const auto number = static_cast<std::size_t>(inside != nullptr ? inside->pattern : traffic_.pattern(running.task));
  return changes_ > 0 ? traffic_.later[changes_ - 1].patterns[number] : traffic_.patterns[number];
}

// Begins the next step in which the group has flows; false where there is none.
bool TrafficRun::begin_next(std::size_t slot, Time now) {
  const TrafficPattern& pattern = pattern_of(running_[slot]);
  for (; running_[slot].step < running_[slot].end && running_[slot].flows_left == 0; ++running_[slot].step) {
    const auto [first, last] = flows_of(pattern, running_[slot].step, running_[slot].group);
    for (std::size_t flow = first; flow < last; ++flow) send(slot, flow, now);
  }
  return running_[slot].flows_left > 0;
}

void TrafficRun::send(std::size_t slot, std::size_t flow, Time now) {
  Running& running = running_[slot];
  const TrafficPattern& pattern = pattern_of(running);
  const Flow& sent = pattern.steps[running.step][flow];
  double stretch = 1;
  if (stretch_ && running.task.program >= 0 && !pattern.owners.empty())
    stretch = stretch_(running.task, pattern.owners[running.step][flow], now);
  const auto id = static_cast<std::size_t>(network_.add(sent, now, stretch));
  if (sent_.size() <= id) sent_.resize(id + 1);
  sent_[id] = {slot, running.step, flow, stretch, true};
  ++running.flows_left;
}

Time TrafficRun::next_event_time() const {
  return tasks_ == 0 ? Time::max() : next_change();
}

Time TrafficRun::next_change() const {
  const Time next = network_.next_event_time();
  return changes_ < traffic_.later.size() ? std::min(next, traffic_.later[changes_].from) : next;
}

std::vector<TaskThrough> TrafficRun::advance(Time until) {
  std::vector<TaskThrough> through;
  for (const FlowEnd& end : network_.advance(until)) {
    sent_[static_cast<std::size_t>(end.flow)].running = false;
    const Sent sent = sent_[static_cast<std::size_t>(end.flow)];
    Running& running = running_[sent.slot];
    if (--running.flows_left > 0 || begin_next(sent.slot, end.time)) continue;
    idle_.push_back(sent.slot);
    if (running.task.program < 0) {
      const auto number = static_cast<std::size_t>(running.task.task);
      begin_background(number, std::max(end.time, running.begun + traffic_.background[number].every));
      continue;
    }
    --tasks_;
    const TrafficPattern& pattern = pattern_of(running);
    const FlowOwner last = pattern.owners.empty() ? FlowOwner() : pattern.owners[sent.step][sent.flow];
    through.push_back(
        {running.task, end.time + pattern.after, running.group, network_.held_by(end.flow), last, sent.stretch});
  }
  if (changes_ < traffic_.later.size() && traffic_.later[changes_].from <= network_.now()) change_routes();
  return through;
}

// Flows over links that are down from now on go on by other ways; those that begin now take them anyway.
void TrafficRun::change_routes() {
  const LaterRoutes& change = traffic_.later[changes_];
  ++changes_;
  for (std::size_t id = 0; id < sent_.size(); ++id) {
    if (!sent_[id].running) continue;
    const auto& pattern = pattern_of(running_[sent_[id].slot]);
    network_.reroute(static_cast<FlowId>(id), pattern.steps[sent_[id].step][sent_[id].flow].route, change.down);
  }
  network_.share_rates();
}

}  // namespace echelon
