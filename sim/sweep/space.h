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
#include <optional>
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
  SourceLocation where;  // of the numbers of a range, which stand in no file themselves
};

struct VainComparison {
  WordComparison compared;
  Value condition;
};

class Space {
 public:
  // From the `sweep` mapping of a scenario document. Throws InputError for what is no axis or condition, for an axis
  // without values, for a key that two axes set, and for more than 10^15 points.
  explicit Space(const Value& document);

  const std::vector<SpaceAxis>& axes() const { return axes_; }
  // Of all combinations, those that the conditions leave out included.
  std::int64_t size() const { return size_; }

  // The position on each axis.
  std::vector<std::size_t> digits(std::int64_t point) const;
  std::int64_t point_of(const std::vector<std::size_t>& digits) const;
  bool includes(const std::vector<std::size_t>& digits) const;
  std::vector<Assignment> assignments(const std::vector<std::size_t>& digits) const;
  // The axis whose every value sets the key; null where there is none.
  const SpaceAxis* axis_that_sets(const std::string& key) const;
  // What conditions compare keys with that no value of theirs is, in vain or by a slip of the hand.
  std::vector<VainComparison> vain_comparisons() const;
  // Throws InputError where the conditions leave nothing: looks at all combinations of the axes that they name.
  void check_not_empty() const;

 private:
  // A key of the conditions: what it is for each value of the axis that sets it, or always.
  struct Slot {
    std::string key;
    std::optional<std::size_t> axis;
    std::vector<ConditionValue> values;
  };

  void read_axes(const Value& axes);
  void read_conditions(const Value& conditions, const Value& document);
  Slot slot_of(const std::string& key, const Value& condition, const Value& document) const;
  [[noreturn]] void fail_unknown(const std::string& key, const Value& condition, const Value& document) const;
  std::size_t place_of(const std::string& key) const;  // slots_.size() where it has none
  std::vector<const ConditionValue*> slot_values(const std::vector<std::size_t>& digits) const;

  std::vector<SpaceAxis> axes_;
  std::vector<Slot> slots_;
  std::vector<Condition> conditions_;
  std::int64_t size_ = 1;
};

}  // namespace echelon
