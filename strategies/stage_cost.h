// What a pass through a stage takes, for schedules that plan by it.
#pragma once

#include <vector>

namespace echelon {

// Times of one stage in any unit; of one slice where sequences are sliced evenly.
struct StageCost {
  double forward = 1;
  double input = 1;
  double weight = 1;

  friend bool operator==(const StageCost&, const StageCost&) = default;
};

// Times of one layer of each block of the model, by its index, and of a message between stages, in one unit.
struct PlannedTimes {
  std::vector<StageCost> blocks;
  double message = 0;
};

}  // namespace echelon
