// Schedules of one pattern: every rank runs the passes of one micro-batch at fixed times of a period, and those of the
// next a period later (the building blocks of arXiv:2405.15362, here for any layout and any times).
//
//   period    the longest work of a rank for one micro-batch: a rank that is busy all of it never waits between them
//   a pass    lies where the period of its rank is free, as near to the pass that it waits for as the passes that are
//             still to be laid into that period leave room
#pragma once

#include <optional>

#include "strategies/pipeline/schedule.h"

namespace echelon {

// Which passes are laid first, and so wait least.
enum class PatternOrder {
  along_the_way,      // from the first forward pass to the last backward pass
  forward_to_loss,    // from the last stage both ways, so that none keeps activations for long: of each stage the
  backward_from_loss  // forward (the backward) pass first
};

// Whole backward passes. Nothing where the passes cannot be laid without overlap.
std::optional<Schedule> periodic_schedule(const ScheduleShape& shape, StageLayout layout, const ScheduleCosts& costs,
                                          PatternOrder order);

}  // namespace echelon
