// The end of a round of groups that train apart (LocalSteps): what each rank sends to its like in the other groups, the
// outer optimizer's step on what comes back, and what that step keeps.
//
//   average   all-reduce of the parameters; nothing is kept
//   nesterov  all-reduce of the difference from the parameters of the last synchronisation; these and a momentum are
//             kept, both in fp32
//
// A rank sends and keeps what its inner optimizer updates: all parameters, or its share where ZeRO divides the states.
// Deltas travel in the format in which gradients are reduced.
#pragma once

#include "strategies/lowering/stage_share.h"

namespace echelon {

class LocalRounds {
 public:
  explicit LocalRounds(const LoweringInput& input);

  // Whether this iteration's end synchronises the groups.
  bool closes() const { return outer_.ranks > 1 && !steps_.between; }
  // All-reduce and outer step of a pipeline rank whose inner optimizer updates `elements`. Neither hides behind
  // anything.
  CollectiveChain synchronisation(std::size_t rank, double elements) const;
  // Held all through training, and while the synchronisation runs.
  Bytes kept(double elements) const;
  Bytes deltas(double elements) const;

 private:
  const LoweringInput input_;
  const LocalSteps& steps_;
  Bytes delta_;   // of an element as it travels
  Bytes weight_;  // of an element as layers use it
  GroupLayout outer_;
};

}  // namespace echelon
