// What groups that train apart (LocalSteps) send each other, the outer optimizer's step on what comes back, and what
// that step keeps.
//
//   average   all-reduce of the parameters; nothing is kept
//   nesterov  all-reduce of the difference from the parameters of the last synchronisation; these and a momentum are
//             kept, both in fp32: on the device or, with Offload::outer, on the host or its drives, from where a
//             fragment's come up to be updated and go down again (torchft, local_sgd.py: its backup of the parameters
//             lies on the CPU unless told otherwise). Where an exchange runs behind iterations, the parameters come up
//             to be sent as well. Training waits for all these copies.
//
// A rank sends and keeps what its inner optimizer updates: all parameters, or its share where ZeRO divides the states.
// Formats of 8 bits and fewer are never added up as such: an all-to-all brings each rank its part of all vectors, which
// it sums in fp32, and an all-gather spreads the sums (as torchft's collectives do; Streaming DiLoCo, arXiv:2501.18512,
// section 2.4, sums in fp32 too).
#pragma once

#include "strategies/lowering/data_sharding.h"

namespace echelon {

class LocalRounds {
 public:
  LocalRounds(const LoweringInput& input, const StageShare& share, const DataSharding& sharding);

  // Whether the groups meet at this iteration's end.
  bool closes() const { return outer_.ranks > 1 && steps_.part != RoundPart::nothing; }
  // Elements of the fragment that a rank of the program sends; 0 where none of its layers is part of it.
  double sent(std::size_t rank, std::int64_t fragment) const;
  // Exchange, unless it runs behind iterations, and outer step of this iteration's fragment. What is there hides behind
  // nothing.
  CollectiveChain synchronisation(std::size_t rank) const;
  // What the outer optimizer keeps of all of the rank's fragments, wherever it lies; of it, on the device all through
  // training and in host memory.
  Bytes kept(std::size_t rank) const;
  Bytes kept_on_device(std::size_t rank) const;
  Bytes kept_on_host(std::size_t rank) const;
  // Of this iteration's fragment: copied up before its synchronisation, and held until it is copied down after it.
  Bytes brought(std::size_t rank) const;
  Bytes updated(std::size_t rank) const;
  // On the device: fragments on their way all through training; and what an exchange that training waits for sends.
  Bytes under_way(std::size_t rank) const;
  Bytes deltas(std::size_t rank) const;

 private:
  bool sums_apart() const;
  bool keeps_elsewhere() const { return input_.strategy.offload.outer != OffloadTarget::none; }
  Bytes update_traffic() const;

  const LoweringInput input_;
  const LocalSteps& steps_;
  const StageShare& share_;
  const DataSharding& sharding_;
  Bytes delta_;   // of an element as it travels
  Bytes weight_;  // of an element as layers use it
  GroupLayout outer_;
};

}  // namespace echelon
