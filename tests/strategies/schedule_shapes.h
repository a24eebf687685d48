// Shapes and pass times that tests of schedules are written in.
#pragma once

#include "strategies/pipeline/schedule.h"

namespace echelon::testing {

inline ScheduleShape shape_of(std::int64_t ranks, std::int64_t micro_batches, std::int64_t chunks = 1) {
  ScheduleShape shape;
  shape.ranks = ranks;
  shape.micro_batches = micro_batches;
  shape.chunks = chunks;
  return shape;
}

// Of every stage; one message from a stage to the next takes `communication`.
inline ScheduleCosts costs_of(double forward, double input, double weight, double communication = 0) {
  ScheduleCosts costs;
  costs.stages = {{forward, input, weight}};
  costs.communication = communication;
  return costs;
}

}  // namespace echelon::testing
