// What a rank writes for a pass of one of its chunks it writes alike for many micro-batches: written once, then copied.
//
// Passes that are one task each are alike for all micro-batches, those that are written layer by layer for all but the
// first and the last, where the same parameters are gathered already. Not so where a micro-batch's tasks hang on its
// neighbours': offload, evictions, a divided vocabulary, slices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "strategies/lowering/messages.h"
#include "strategies/lowering/stage_share.h"

namespace echelon {

class AlikePasses {
 public:
  AlikePasses(const LoweringInput& input, const StageShare& share, StageMessages& messages, Lowering& into);

  void begin_rank();
  // Units of the stage whose parameters are gathered (DataTraffic::gathered).
  using Gathered = std::vector<bool>;
  // Writes an alike pass as its like of an earlier micro-batch was, and what that left `gathered`; false where none was
  // kept that began so.
  bool copy(std::size_t rank, const Action& action, Gathered& gathered);
  // What a pass found and left.
  struct Before {
    std::size_t tasks = 0;  // of the rank's program
    Gathered gathered;
  };
  // Keeps what an alike pass added to the rank's program.
  void keep(std::size_t rank, const Action& action, const Before& before, const Gathered& after);

 private:
  struct Range {
    std::size_t first = 0;
    std::size_t last = 0;
  };
  struct Written {
    Range tasks;  // empty: nothing was kept
    Range dependences;
    Range effects;
    StageMessages::Slot slot = 0;
    std::int32_t micro_batch = 0;
    Gathered before;
    Gathered after;
  };

  Written& like(const Action& action);

  const StageShare& share_;
  StageMessages& messages_;
  Lowering& into_;
  bool applies_;
  std::vector<Written> written_;  // of this rank, by chunk and pass
};

}  // namespace echelon
