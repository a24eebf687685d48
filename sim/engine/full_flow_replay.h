// Full replay where tasks share links: every rank on its own, its messages and its groups' collectives as flows.
//
// What a task waits for and who runs it together is as in full_replay.h; but how long traffic takes hangs on what else
// is on its links, so that no order of tasks can be fixed before: an event queue runs beside the flows'. A rank keeps
// where it stands in each of its streams and no more, so that memory is ranks x streams + flows under way: a task's
// dependences have ended when the ranks that run them have gone on. With nothing to tell ranks apart, on a network that
// gives each group the same, the times are those of replay() with the same traffic, and with links that nobody shares
// those of full replay without.
#pragma once

#include "sim/engine/full_replay.h"

namespace echelon {

// What FullReplay::run() does with ReplayOptions::traffic, whose patterns have owners.
FullTimeline replay_with_flows(const TaskGraph& graph, const ReplayPlan& plan, const std::vector<WorkTime>& times,
                               const std::vector<WorkParts>& parts, const StageLayouts& layouts,
                               const ReplayOptions& options, const RankVariation& variation, std::int64_t number);

}  // namespace echelon
