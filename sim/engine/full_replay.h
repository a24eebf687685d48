// Full replay: every rank on its own, where replay() runs one for each program.
//
// A rank's end e of a task follows from the ends before it by maxima and sums alone, as in replay():
//   start = max(end of the task before it on the stream, ends of its dependences, issue by the host)
//   e     = max(start + its own time, launch of its last kernel)
// with the maximum taken over the members of a group where the group runs the task together:
//   forward, backward, weight gradients   ranks that share tensors, context or experts, in lockstep: they start when
//   all
//                                         can and end with the slowest, for their collectives lie inside the task
//   parameter gathers, gradient reduction the data group: all ranks of a stage with the same tensor coordinate
//   messages                              each rank alone; a dependence on another program is on the rank with the same
//                                         coordinates there, of unlike tensor degrees on all that share its part
//   optimizer                             starts when all ranks of all stages can (the gradient norm is reduced over
//                                         all), then each rank alone
// No time depends on a later step of the plan (sim/engine/replay_plan.h), so that one walk over its steps, each over
// all ranks of a stage, gives exactly what an event queue for every rank would, with no queue: memory is ranks x
// (streams + tasks that others still wait for). With nothing to tell ranks apart all members of a group are equal, and
// the times are those of replay().
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "sim/base/units.h"
#include "sim/engine/replay.h"
#include "sim/engine/replay_plan.h"
#include "sim/graph/task_graph.h"
#include "sim/hardware/topology.h"
#include "sim/hardware/variation.h"

namespace echelon {

// The ranks of one stage. Rank t + tensor * (c + context * d) of a stage has coordinates t, c, d.
struct RankLayout {
  std::int64_t tensor = 1;
  std::int64_t context = 1;
  std::int64_t data = 1;
  std::int64_t lockstep_data = 1;  // neighbouring data coordinates that share experts; divides `data`

  std::int64_t stage_ranks() const { return tensor * context * data; }
};

// Ranks of a stage: first, first + stride, ...
struct RankGroup {
  std::size_t first = 0;
  std::size_t stride = 1;
  std::size_t count = 1;
};

// The ranks of all stages; the engine counts them stage after stage. Stages may differ in their tensor degrees.
class StageLayouts {
 public:
  // All alike.
  StageLayouts(const RankLayout& layout, std::size_t programs) : StageLayouts({programs, layout}) {}
  // By program, of equal context and data degrees.
  explicit StageLayouts(std::vector<RankLayout> layouts);

  const RankLayout& of(std::size_t program) const { return layouts_[program]; }
  std::size_t width(std::size_t program) const { return static_cast<std::size_t>(of(program).stage_ranks()); }
  std::size_t most_ranks() const { return most_ranks_; }  // of a stage
  bool alike() const { return alike_; }
  std::int64_t ranks() const { return first_.back(); }  // of all stages
  std::int64_t engine_rank(std::size_t program, std::size_t rank) const {
    return first_[program] + static_cast<std::int64_t>(rank);
  }
  // Neighbouring ranks of `to` that hold parts of the same tensors as a rank of `from`: the rank of the same place, or
  // where degrees differ the several that share its part or the one that has it among more.
  RankGroup counterparts(std::size_t from, std::size_t rank, std::size_t to) const;

 private:
  std::vector<RankLayout> layouts_;
  std::vector<std::int64_t> first_;  // by program, and one more
  std::size_t most_ranks_ = 0;
  bool alike_ = true;
};

// The parts of a work's device time that rank differences stretch; the rest takes as long everywhere.
struct WorkParts {
  Time kernels;  // by a slow GPU
  Time links;    // by a slow NIC
};

// Which ranks run a task of a kind together.
enum class TaskScope : std::uint8_t { rank, lockstep, data_group, barrier };
TaskScope scope_of(TaskKind kind);

// The group that runs a task of that scope with a rank of a stage; the whole stage for a barrier.
RankGroup group_of(const RankLayout& layout, TaskScope scope, std::size_t stage_rank);

struct RankVariation {
  Variability variability;
  std::vector<RankFault> faults;  // ranks of the engine
};

// The rank that lost the most time on the critical chain: the tasks that led to the end of the iteration, each the last
// that the next one waited for. Certain where it lost more than all others together (sim/engine/chain_mark.h); else it
// is one that lost much.
struct PaceSetter {
  std::int64_t rank = 0;  // of the engine
  Time lost;              // beyond nominal, by its tasks on the chain; at least
  TaskReference task;     // the one that lost the most
  Time delay;             // of that task
};

// The link that the flows of the critical chain waited for: certain where the chain waited longer for it than for all
// others together, else one that it waited for long. Replay with flows alone knows it.
struct LinkPace {
  LinkId link = 0;
  Time held;  // that tasks of the chain were on links and it held their last flow back; at least
};

struct FullTimeline {
  Time end;
  std::vector<Time> rank_ends;  // by rank of the engine: of its last task
  std::vector<Time> rank_idle;  // time up to `end` in which its compute stream ran no task of its own, or waited in one
                                // for slower members of its group
  std::optional<PaceSetter> pace;  // nothing where no task of the chain took longer than nominal
  std::optional<LinkPace> link;    // nothing where no full link held the chain back
};

class FullReplay {
 public:
  // `times` and `parts` are indexed by Task::work. All four outlive the replay, as the traffic of `options` does: with
  // it tasks share links (full_flow_replay.h).
  FullReplay(const TaskGraph& graph, const ReplayPlan& plan, const std::vector<WorkTime>& times,
             const std::vector<WorkParts>& parts, StageLayouts layouts, const ReplayOptions& options);
  // Of stages that are all alike.
  FullReplay(const TaskGraph& graph, const ReplayPlan& plan, const std::vector<WorkTime>& times,
             const std::vector<WorkParts>& parts, const RankLayout& layout, const ReplayOptions& options)
      : FullReplay(graph, plan, times, parts, StageLayouts(layout, graph.programs.size()), options) {}

  // One iteration; the same for the same variation and number, whatever runs beside it. Several may run at once.
  FullTimeline run(const RankVariation& variation, std::int64_t number) const;

 private:
  const TaskGraph* graph_;
  const ReplayPlan* plan_;
  const std::vector<WorkTime>* times_;
  const std::vector<WorkParts>* parts_;
  StageLayouts layouts_;
  ReplayOptions options_;
};

}  // namespace echelon
