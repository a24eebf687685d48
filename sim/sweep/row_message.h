// Rows of a range as bytes, between processes of one program on machines of one kind.
#pragma once

#include <string>

#include "sim/sweep/range_ledger.h"

namespace echelon {

std::string message_of(const RangeRows& result);
// The reverse; positions on the axes come from the space. SIM_CHECKs that the bytes are whole.
RangeRows rows_of_message(const std::string& message, const Space& space);

}  // namespace echelon
