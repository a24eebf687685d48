// The space of a sweep or a search: which keys take which values, and which combinations count.
//
//   sweep:
//     axes:
//       cluster: [{profile: dgx-h100, nodes: 64}, {profile: dgx-b200, nodes: 32}]   # keys added to the section
//       strategy.tensor_parallel: {powers_of_two: [1, 8]}
//       strategy.micro_batch: [1, 2, 4]
//       workload.global_batch: {from: 512, to: 2048, step: 512}                     # or times: 2
//     where:
//       - strategy.tensor_parallel * strategy.pipeline_parallel <= 64               # sim/sweep/condition.h
//
// Points are numbered from 0 as digits of a mixed radix, the last axis varying fastest; numbers of points that the
// conditions leave out are not given to others.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/config/document.h"
#include "sim/sweep/condition.h"

namespace echelon {

// One value of an axis.
struct AxisValue {
  std::string text;  // as in reports: "4", "{profile: dgx-h100, nodes: 64}"
  ConditionValue value;
  std::vector<Assignment> assignments;  // what it sets
};

struct SpaceAxis {
  std::string key;  // "strategy.tensor_parallel", or a section's name
  std::vector<AxisValue> values;
};

class Space {
 public:
  // From the `sweep` mapping of a scenario document. Throws InputError for what is no axis or condition, for an axis
  // without values, and for more than 10^15 points.
  explicit Space(const Value& document);

  const std::vector<SpaceAxis>& axes() const { return axes_; }
  // Of all combinations, those that the conditions leave out included.
  std::int64_t size() const { return size_; }

  // The position on each axis.
  std::vector<std::size_t> digits(std::int64_t point) const;
  std::int64_t point_of(const std::vector<std::size_t>& digits) const;
  bool includes(const std::vector<std::size_t>& digits) const;
  std::vector<Assignment> assignments(const std::vector<std::size_t>& digits) const;

 private:
  void read_axes(const Value& axes);
  void read_conditions(const Value& conditions, const Value& document);

  std::vector<SpaceAxis> axes_;
  std::vector<ConditionValue> constants_;  // keys of conditions that no axis has: slots from axes_.size() on
  std::vector<Condition> conditions_;
  std::int64_t size_ = 1;
};

}  // namespace echelon
