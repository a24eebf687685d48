// What full replay with flows (full_flow_replay.h) carries while it runs. Private to the engine.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "sim/engine/chain_mark.h"
#include "sim/engine/full_replay.h"

namespace echelon {

// The end of a task with the rank and the link that the chain up to it lost time by; the same vote for both.
struct Mark {
  ChainMark chain;
  LinkId link = -1;
  Time votes;  // for `link`, less those against it
  Time held;   // by `link` since it came to stand

  void wait_for(LinkId by, Time passed) {
    if (by < 0) return;
    if (by == link) {
      votes += passed;
      held += passed;
    } else if (passed <= votes) {
      votes -= passed;
    } else {
      link = by;
      votes = passed - votes;
      held = passed;
    }
  }
};

// What made the group's task end when it did.
struct Cause {
  Time delay;  // beyond nominal
  std::size_t rank = 0;
  LinkId link = -1;
};

// Ranks that come together for a task, and run it. A group is known by its scope and its first rank: it comes together
// again only when its task has ended.
struct GroupState {
  std::int32_t here = 0;  // ranks that have come
  std::int32_t left = 0;  // that still compute
  Mark latest;            // what it starts after
  Time begun;
  Cause cause;
  // Of a compute task whose layers send (traffic.h); null: none, or all its turns are over.
  const LayerFlows* layers = nullptr;
  std::size_t turn = 0;
  std::int32_t parts = 0;  // of compute and flows, those of the turn under way
  bool sending = false;    // the turn's flows have begun
  Time stretch;            // since when its ranks compute, or last did
  Time computed;           // when the last of them was through
};

// One stream of all ranks of a stage.
struct StageStream {
  std::vector<TaskId> order;
  std::vector<std::int32_t> next;                 // by rank: in `order`, the first that has not ended
  std::vector<std::uint8_t> taken;                // by rank: waits for its group, or runs
  std::vector<Time> ends;                         // by rank: of the last task
  std::array<std::vector<GroupState>, 4> groups;  // by TaskScope, by first rank; empty where no task has that scope
};

struct ComputingRank {
  double remaining = 0;  // picoseconds of device work left at full speed
  Time updated;
  Time end;  // as things stand
  std::int32_t generation = 0;
  bool running = false;
  bool ends_task = true;  // not before its host has issued all
};

struct Stage {
  std::array<StageStream, stream_count> streams;
  std::vector<std::int32_t> position;          // by task: in its stream
  std::vector<std::int64_t> number;            // by task: its step of the plan
  std::vector<std::int32_t> receiver;          // by task: program that gets this message, or -1
  std::vector<std::int32_t> dependents_first;  // of task i: dependents[dependents_first[i]] ..
  std::vector<TaskReference> dependents;
  std::vector<Time> hosts;  // by rank: when the host has issued all so far
  std::vector<Time> busy;
  std::vector<ComputingRank> computing;
  std::vector<std::uint8_t> beside_data;  // by rank: its data stream runs
};

enum class EventKind : std::uint8_t { start, rank_end, group_end };

struct Event {
  Time time;
  std::int64_t sequence = 0;
  std::int32_t program = 0;
  std::int32_t rank = 0;  // of the stage; the group's first
  std::int32_t generation = 0;
  Stream stream = Stream::compute;
  EventKind kind = EventKind::start;
};

struct LaterFirst {
  bool operator()(const Event& a, const Event& b) const {
    return a.time != b.time ? a.time > b.time : a.sequence > b.sequence;
  }
};

// Behind a barrier each rank runs alone.
inline TaskScope running_scope(TaskScope scope) {
  return scope == TaskScope::barrier ? TaskScope::rank : scope;
}

// Of Program::dependences, those of the task: from the first on, up to the second.
std::pair<std::size_t, std::size_t> dependences_of(const TaskGraph& graph, TaskReference task);

// What all stages have come to; `last`: the end of the iteration.
FullTimeline timeline_of(const std::vector<Stage>& stages, const Mark& last);

// All at their beginning.
std::vector<Stage> stages_of(const TaskGraph& graph, const ReplayPlan& plan, const StageLayouts& layouts);

}  // namespace echelon
