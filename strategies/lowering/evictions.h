// Activations that a pipeline rank lends to its partner (BPipe, strategies/pipeline/bpipe.cpp): messages beside the
// passes, and the memory that they move between the two. What leaves is a message of the lender, what returns one of
// the borrower; a task of no length takes up the room where it arrives.
//
// Ranks are written one after another, lenders before their borrowers. Order of calls: for each rank (await | follow)*
// and then borrow; resolve once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "strategies/lowering/stage_share.h"

namespace echelon {

class Evictions {
 public:
  Evictions(const LoweringInput& input, const StageShare& share, Lowering& into);

  // The task that was appended last, of a pass, waits for the activations that it needs, if they are away, or for the
  // room that those leave which are on their way out.
  void await(std::size_t rank, const Action& action);
  // Sends away what that pass made, and calls back what it made room for.
  void follow(std::size_t rank, const Action& action);
  // What the rank keeps for its partner, once its own passes are written.
  void borrow(std::size_t rank);
  // Puts messages in place of what await() left open.
  void resolve();

 private:
  // Of one lent micro-batch. Tasks of the lender, but for the last.
  struct Loan {
    std::int32_t micro_batch = 0;
    TaskId left_after = -1;
    TaskId left = -1;
    TaskId called_after = -1;
    TaskId returned = -1;
  };
  struct Lender {
    std::vector<Loan> loans;
    std::vector<std::int32_t> loan_of;    // by micro-batch; -1: stays
    std::vector<std::int32_t> called_by;  // by micro-batch whose backward pass calls the loan back; -1: none
    Bytes kept;                           // of one micro-batch
    WorkId message = -1;
  };

  std::size_t partner(std::size_t rank) const { return into_.graph.programs.size() - 1 - rank; }
  // A message from the rank about an action, or its arrival: it moves memory when it ends, or takes it when it starts.
  void append(std::size_t rank, const Action& action, TaskKind kind, WorkId work, Bytes at_start, Bytes at_end);

  Lowering& into_;
  std::vector<Lender> lenders_;  // by rank; without loans: lends nothing
  WorkId arrival_ = -1;
};

}  // namespace echelon
