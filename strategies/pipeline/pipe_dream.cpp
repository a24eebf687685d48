#include "strategies/pipeline/schedule.h"

namespace echelon {

// 1F1B that never empties: weights are updated behind each micro-batch, and each keeps the version that it met going
// forward until it comes back (weight stashing, arXiv:1806.03377, section 3.3).
Schedule pipe_dream(const ScheduleShape& shape, const ScheduleCosts& costs) {
  Schedule schedule = one_f_one_b(shape, costs);
  schedule.versions = WeightVersions::in_flight;
  return schedule;
}

// The same with gradients added up over the batch and two buffers of weights: those that micro-batches in flight began
// with, and the newest (arXiv:2006.09503, section 3.1).
Schedule pipe_dream_2bw(const ScheduleShape& shape, const ScheduleCosts& costs) {
  Schedule schedule = one_f_one_b(shape, costs);
  schedule.versions = WeightVersions::two;
  return schedule;
}

}  // namespace echelon
